"""What an exit means, and whether the unit is started again: pure decisions, systemd's.

Sources: systemd.service(5), Restart= and its tables; systemd.unit(5), StartLimitIntervalSec=.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from c101.agents.runtime.process.keeper.spec import Spec
    from c101.agents.runtime.process.keeper.status import Status

EXITED, KILLED, DUMPED = 1, 2, 3
_CODE_WORDS = {EXITED: "exited", KILLED: "killed", DUMPED: "dumped"}
_RESULTS = {EXITED: "exit-code", KILLED: "signal", DUMPED: "core-dump"}
#: HUP, INT, PIPE, TERM: how a daemon may end when it was asked to.
_CLEAN_SIGNALS = (1, 2, 13, 15)

_SIGNALS = (
    "0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV",
    "USR2", "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU",
    "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
)  # fmt: skip
_STATUSES = {
    0: "SUCCESS",
    1: "FAILURE",
    2: "INVALIDARGUMENT",
    3: "NOTIMPLEMENTED",
    4: "NOPERMISSION",
    5: "NOTINSTALLED",
    6: "NOTCONFIGURED",
    7: "NOTRUNNING",
    200: "CHDIR",
    201: "NICE",
    202: "FDS",
    203: "EXEC",
    204: "MEMORY",
    205: "LIMITS",
    206: "OOM_ADJUST",
    207: "SIGNAL_MASK",
    208: "STDIN",
    209: "STDOUT",
    210: "CHROOT",
    216: "GROUP",
    217: "USER",
    222: "STDERR",
}

#: The results after which each Restart= starts the unit again; "always" does after any.
_RESTART_AFTER: dict[str, tuple[str, ...]] = {
    "no": (),
    "on-success": ("success",),
    "on-failure": (
        "exit-code",
        "signal",
        "core-dump",
        "timeout",
        "watchdog",
        "protocol",
        "resources",
        "keeper-lost",
    ),
    "on-abnormal": (
        "signal",
        "core-dump",
        "timeout",
        "watchdog",
        "protocol",
        "resources",
        "keeper-lost",
    ),
    "on-abort": ("signal", "core-dump"),
    "on-watchdog": ("watchdog",),
}


class Exit:
    """How a process ended: ``code`` is EXITED, KILLED or DUMPED, ``status`` a status or signal."""

    __slots__ = ("code", "status")

    def __init__(self, wait_status: int) -> None:
        if posix.WIFSIGNALED(wait_status):
            self.code = DUMPED if posix.WCOREDUMP(wait_status) else KILLED
            self.status = posix.WTERMSIG(wait_status)
        else:
            self.code = EXITED
            self.status = posix.WEXITSTATUS(wait_status)

    def result(self, spec: Spec, *, daemon: bool) -> str:
        """Return the result it makes: "success" or what went wrong.

        A command of a oneshot unit or a control command (not *daemon*) must exit by itself.
        """
        statuses, signals = spec.success
        if self.code == EXITED:
            clean = self.status == 0 or self.status in statuses
        else:
            clean = (daemon and self.status in _CLEAN_SIGNALS) or self.status in signals
        return "success" if clean else _RESULTS[self.code]

    def describe(self) -> str:
        """Return it as systemd prints it: ``code=exited, status=1/FAILURE``."""
        name = exit_status_name(self.status) if self.code == EXITED else signal_name(self.status)
        return f"code={_CODE_WORDS[self.code]}, status={self.status}/{name}"


def exit_status_name(status: int) -> str:
    """Return systemd's word for an exit status, "n/a" where it has none."""
    return _STATUSES.get(status, "n/a")


def signal_name(number: int) -> str:
    """Return the name of a signal without SIG."""
    if 0 < number < len(_SIGNALS):
        return _SIGNALS[number]
    return f"RTMIN+{number - 34}" if 34 <= number <= 64 else str(number)


def exit_variables(status: Status) -> dict[str, str]:
    """Return what ExecStop= and ExecStopPost= are told of the main process."""
    if not status.exit_code:
        return {"SERVICE_RESULT": status.result}
    name = (
        str(status.exit_status) if status.exit_code == EXITED else signal_name(status.exit_status)
    )
    return {
        "SERVICE_RESULT": status.result,
        "EXIT_CODE": _CODE_WORDS[status.exit_code],
        "EXIT_STATUS": name,
    }


def shall_restart(spec: Spec, status: Status) -> bool:
    """Say whether Restart= starts the unit again after ``status.result``."""
    if _listed(spec.restart_prevent, status):
        return False
    if _listed(spec.restart_force, status) or spec.restart == "always":
        return True
    return status.result in _RESTART_AFTER[spec.restart]


def _listed(sets: tuple[list[int], list[int]], status: Status) -> bool:
    if not status.exit_code:
        return False
    return status.exit_status in sets[0 if status.exit_code == EXITED else 1]


def admit_start(spec: Spec, status: Status, now: float) -> bool:
    """Count a start at *now* (monotonic); False when the limit does not allow it.

    At most ``start_limit_burst`` starts within ``start_limit_interval`` seconds of the first one.
    """
    interval, burst = spec.start_limit_interval, spec.start_limit_burst
    if interval == 0 or burst <= 0:
        return True
    # A begin that lies ahead is from before a reboot.
    is_over = interval is not None and now - status.limit_begin > interval
    if not status.limit_count or is_over or status.limit_begin > now:
        status.limit_begin, status.limit_count = now, 1
        return True
    if status.limit_count < burst:
        status.limit_count += 1
        return True
    return False
