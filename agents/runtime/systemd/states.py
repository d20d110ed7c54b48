"""From systemd's properties to what the cluster knows of a unit. Pure."""

from collections.abc import Mapping
from typing import Any

from c101.agents.runtime.systemd.cgroup import Found
from c101.agents.runtime.systemd.unit_files import Note
from c101.agents.runtime.unit_manager import LoadedUnit

#: Properties by name, as ``GetAll`` gives them for all interfaces of a unit; times are microseconds
#: since 1970, 0 for never.
Properties = Mapping[str, Any]

#: Of a unit whose group was not looked at.
NO_GROUP = Found()

#: CLD_EXITED, CLD_KILLED, CLD_DUMPED: the main process has ended.
_ENDED = (1, 2, 3)

#: Of the three hundred that a service has.
_KEPT = (
    "ActiveEnterTimestamp",
    "ActiveExitTimestamp",
    "ActiveState",
    "ConditionResult",
    "ConditionTimestamp",
    "ControlGroup",
    "Description",
    "ExecMainCode",
    "ExecMainStatus",
    "InactiveEnterTimestamp",
    "InactiveExitTimestamp",
    "InvocationID",
    "LoadError",
    "LoadState",
    "MainPID",
    "NRestarts",
    "Result",
    "StatusText",
    "SubState",
)

#: When a unit came into the ACTIVE state it is in.
_ENTERED = {
    "active": "ActiveEnterTimestamp",
    "reloading": "ActiveEnterTimestamp",
    "activating": "InactiveExitTimestamp",
    "deactivating": "ActiveExitTimestamp",
    "inactive": "InactiveEnterTimestamp",
    "failed": "InactiveEnterTimestamp",
}


def kept_of(properties: Properties) -> Properties:
    """Return what is needed of a unit's properties."""
    return {name: properties[name] for name in _KEPT if name in properties}


def describe(
    name: str, note: Note, properties: Properties, said: str, group: Found = NO_GROUP
) -> LoadedUnit:
    """Return unit *name*; *said* is what is to be said of it besides its own status text."""
    active = str(properties.get("ActiveState", "inactive"))
    entered = properties.get(_ENTERED.get(active, ""), 0)
    ended = properties.get("ExecMainCode", 0) in _ENDED
    unmet = not properties.get("ConditionResult", True) and properties.get("ConditionTimestamp")
    if active == "inactive" and unmet:
        said = said or "not started: a condition of it is not met"
    return LoadedUnit(
        name=name,
        load=str(properties.get("LoadState", "loaded")),
        active=active,
        sub=str(properties.get("SubState", "dead")),
        hash=note.hash,
        since=entered / 1_000_000,
        result=str(properties.get("Result", "success")),
        exit_status=int(properties.get("ExecMainStatus", 0)) if ended else None,
        main_pid=int(properties.get("MainPID", 0)) or None,
        restarts=int(properties.get("NRestarts", 0)),
        restart=note.restart,
        description=str(properties.get("Description", "")),
        status_text=said or str(properties.get("StatusText", "")),
        pids=group.pids,
        resources=group.resources,
    )


def load_error(properties: Properties) -> str:
    """Return why systemd would not take the unit's text, or an empty string."""
    found = properties.get("LoadError")
    if not found or properties.get("LoadState") in ("loaded", "not-found"):
        return ""
    error, message = found
    return str(message or error)
