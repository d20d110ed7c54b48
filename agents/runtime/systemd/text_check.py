"""What makes systemd refuse a unit file, found before it is asked: nothing is changed then.

systemd reads a file only when it loads the unit, and what runs of the unit by then has lost its
file. So what its ``load`` verb would refuse is refused here (systemd: service.c, socket.c …, the
``*_verify`` functions).
"""

from c101.core.units.file import UnitFile, UnitFileError
from c101.core.units.name import UnitName

#: What each kind must say: one of these options of its section.
_NEEDS = {
    "mount": ("Mount", ("Where",)),
    "path": (
        "Path",
        (
            "PathExists",
            "PathExistsGlob",
            "PathChanged",
            "PathModified",
            "DirectoryNotEmpty",
        ),
    ),
    "service": ("Service", ("ExecStart", "ExecStop", "SuccessAction")),
    "socket": (
        "Socket",
        (
            "ListenStream",
            "ListenDatagram",
            "ListenSequentialPacket",
            "ListenFIFO",
            "ListenNetlink",
            "ListenSpecial",
            "ListenMessageQueue",
            "ListenUSBFunction",
        ),
    ),
    "timer": (
        "Timer",
        (
            "OnActiveSec",
            "OnBootSec",
            "OnCalendar",
            "OnClockChange",
            "OnStartupSec",
            "OnTimezoneChange",
            "OnUnitActiveSec",
            "OnUnitInactiveSec",
        ),
    ),
}  # fmt: skip


def check(name: UnitName, text: str) -> UnitFile:
    """Return the unit file. Raises UnitFileError."""
    file = UnitFile.parse(text, name.full)
    if name.suffix not in _NEEDS:
        return file
    section, options = _NEEDS[name.suffix]
    if not any(file.get(section, option) for option in options):
        listed = " or ".join(f"{option}=" for option in options)
        raise UnitFileError(name.full, 0, f"a {name.suffix} needs [{section}] with {listed}")
    if name.suffix == "service":
        _check_service(name.full, file)
    return file


def _check_service(name: str, file: UnitFile) -> None:
    kind = file.last("Service", "Type") or "simple"
    starts = file.assigned("Service", "ExecStart")
    if kind != "oneshot":
        if not starts:
            raise UnitFileError(name, 0, f"Type={kind} needs ExecStart=")
        if len(starts) > 1:
            text = f"Type={kind} has one ExecStart=, only oneshot has more"
            raise UnitFileError(name, starts[1].line, text)
    elif file.last("Service", "Restart") in ("always", "on-success"):
        raise UnitFileError(name, 0, "Type=oneshot cannot have Restart=always or on-success")
    stays = file.last("Service", "RemainAfterExit") in ("yes", "true", "1", "on", "y", "t")
    if not (starts or stays or file.get("Service", "SuccessAction")):
        raise UnitFileError(name, 0, "without ExecStart= it needs RemainAfterExit=yes")
    if kind == "dbus" and not file.last("Service", "BusName"):
        raise UnitFileError(name, 0, "Type=dbus needs BusName=")
