"""From systemd's properties to what the cluster knows of a unit. Pure."""

from collections.abc import Mapping
from typing import Any

from c101.agents.runtime.systemd.cgroup import Found
from c101.agents.runtime.systemd.unit_files import Note
from c101.agents.runtime.unit_manager import LoadedUnit
from c101.core.model.host import TimerRuns

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
    "LastTriggerUSec",
    "LoadError",
    "LoadState",
    "MainPID",
    "NRestarts",
    "Result",
    "RootDirectory",
    "RootImage",
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


#: Of a timer: when it elapses next by the calendar, and by the clock that counts from the boot.
_NEXT_BY_CALENDAR, _NEXT_BY_UPTIME = "NextElapseUSecRealtime", "NextElapseUSecMonotonic"
#: What is kept of them: the earlier one, microseconds since 1970.
_NEXT = "NextElapse"
_NEVER = (0, 2**64 - 1)


def kept_of(properties: Properties, booted_us: int) -> Properties:
    """Return what is needed of a unit's properties.

    *booted_us* is when systemd's monotonic clock was 0, microseconds since 1970.
    """
    kept = {name: properties[name] for name in _KEPT if name in properties}
    if _NEXT_BY_CALENDAR in properties:
        by_calendar = properties[_NEXT_BY_CALENDAR]
        by_uptime = properties.get(_NEXT_BY_UPTIME, 0)
        ways = [] if by_calendar in _NEVER else [by_calendar]
        ways += [] if by_uptime in _NEVER else [booted_us + by_uptime]
        kept[_NEXT] = min(ways, default=0)
    return kept


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
        runs=_runs(properties),
        root=str(properties.get("RootDirectory") or properties.get("RootImage") or ""),
    )


def _runs(properties: Properties) -> TimerRuns | None:
    """Return when a timer runs; ``None`` of what is none."""
    if _NEXT not in properties:
        return None
    last, following = properties.get("LastTriggerUSec", 0), properties[_NEXT]
    return TimerRuns(
        last=last / 1_000_000 if last else None,
        next=following / 1_000_000 if following else None,
    )


def load_error(properties: Properties) -> str:
    """Return why systemd would not take the unit's text, or an empty string."""
    found = properties.get("LoadError")
    if not found or properties.get("LoadState") in ("loaded", "not-found"):
        return ""
    error, message = found
    return str(message or error)
