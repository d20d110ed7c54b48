"""Control groups: which processes a unit has, and what they use."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from c101.core.model.host import UnitResources
from c101.core.model.pressure import KINDS, share_waiting


@dataclass(frozen=True, slots=True)
class Found:
    """What a unit's group says: its processes in order, and what they use together."""

    pids: tuple[int, ...] = ()
    resources: UnitResources | None = None


def hierarchy(mounts: str) -> Path | None:
    """Return where systemd's own tree is mounted, by the text of ``/proc/self/mounts``.

    The unified one if there is one, else that named ``systemd``; beside controllers of version 1
    there may be both, and systemd uses the one that has its units.
    """
    found: dict[str, Path] = {}
    for line in mounts.splitlines():
        _, where, kind, options, *_ = line.split(" ")
        if kind == "cgroup2":
            found.setdefault("unified", Path(where))
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            found["systemd"] = Path(where)
    return found.get("systemd") or found.get("unified")


def hierarchy_here() -> Path | None:
    """Return where it is mounted on this machine."""
    return hierarchy(Path("/proc/self/mounts").read_text())


def group_of(pid: int) -> str:
    """Return the group that process *pid* is in, in systemd's own tree; "" where it has ended."""
    lines = _text(Path(f"/proc/{pid}/cgroup")).splitlines()
    groups = dict(line.split(":", 2)[1:] for line in lines)
    return groups.get("name=systemd") or groups.get("", "")


def read(root: Path | None, control_group: str) -> Found:
    """Return what is found of a unit's group; nothing where it has none (any more)."""
    if root is None or not control_group:
        return Found()
    top = root / control_group.lstrip("/")
    pids = _processes(top)
    return Found(pids, _resources(top)) if pids else Found()


def _processes(top: Path) -> tuple[int, ...]:
    found: set[int] = set()
    with suppress(OSError):  # a group goes as its last process does
        for listing in (top / "cgroup.procs", *top.glob("**/cgroup.procs")):
            found.update(map(int, _text(listing).split()))
    return tuple(sorted(found))


def _resources(top: Path) -> UnitResources:
    cpu = _fields(_text(top / "cpu.stat"))
    read_bytes, written_bytes = _transferred(_text(top / "io.stat"))
    waiting = {kind: share_waiting(_text(top / f"{kind}.pressure")) for kind in KINDS}
    return UnitResources(
        memory_bytes=_number(_text(top / "memory.current")),
        cpu_seconds=cpu["usage_usec"] / 1_000_000 if "usage_usec" in cpu else None,
        tasks=_number(_text(top / "pids.current")),
        read_bytes=read_bytes,
        written_bytes=written_bytes,
        pressure={kind: share for kind, share in waiting.items() if share is not None},
    )


def _text(path: Path) -> str:
    """Return the text of a file; "" where it, or its controller, is not there (any more)."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(text: str) -> int | None:
    word = text.strip()
    return int(word) if word.isdecimal() else None


def _fields(text: str) -> dict[str, int]:
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _transferred(text: str) -> tuple[int | None, int | None]:
    """Return the bytes read and written, of all devices together, by the text of ``io.stat``."""
    if not text:
        return None, None
    words = [word.partition("=") for line in text.splitlines() for word in line.split()[1:]]
    totals = {"rbytes": 0, "wbytes": 0}
    for name, _, value in words:
        if name in totals and value.isdecimal():
            totals[name] += int(value)
    return totals["rbytes"], totals["wbytes"]
