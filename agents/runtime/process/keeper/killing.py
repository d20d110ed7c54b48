"""Ends the unit's processes as KillMode= says (systemd.kill(5))."""

from __future__ import annotations

import posix
import select

from c101.agents.runtime.process.keeper import processes
from c101.agents.runtime.process.keeper.policy import signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from c101.agents.runtime.process.keeper.output import Output
    from c101.agents.runtime.process.keeper.spec import Spec

SIGHUP, SIGKILL, SIGCONT = 1, 9, 18
_NOTICE = 5
#: Rounds of killing everything at once; each finds what was forked during the one before.
_ROUNDS_MAX = 500
_ROUND_MS = 10


def kill_unit(spec: Spec, number: int, known: list[int], output: Output, *, final: bool) -> bool:
    """Send signal *number* to what KillMode= names; say whether there is an end to wait for.

    *known* are the main and the control process, as far as they live. *final* is the stage at
    which "mixed" means every process.
    """
    if spec.kill_mode == "none":
        return False
    targets = list(known)
    if spec.kill_mode == "control-group" or (spec.kill_mode == "mixed" and final):
        targets += [pid for pid in processes.descendants(posix.getpid()) if pid not in known]
    reached = False
    for pid in targets:
        if number == SIGKILL:
            _say_killed(spec, pid, number, output)
        if processes.send(pid, number):
            reached = True
            if number not in {SIGKILL, SIGCONT}:
                processes.send(pid, SIGCONT)
            if spec.send_sighup and not final:
                processes.send(pid, SIGHUP)
    return reached


def _say_killed(spec: Spec, pid: int, number: int, output: Output) -> None:
    name = processes.name_of(pid)
    signal = f"SIG{signal_name(number)}"
    output.say(_NOTICE, f"{spec.unit}: Killing process {pid} ({name}) with signal {signal}.")


def kill_everything() -> None:
    """Kill all that is below this process, at once and without a word, until nothing is left."""
    waiting = select.poll()
    for _ in range(_ROUNDS_MAX):
        for pid in processes.descendants(posix.getpid()):
            processes.send(pid, SIGKILL)
        processes.reap()
        if not processes.has_children():
            return
        waiting.poll(_ROUND_MS)
