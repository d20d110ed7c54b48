"""A power cut: every process of a machine is killed at once, keepers first.

Processes are found by the marker that the runtime puts into the environment of each. A child that
cleared its environment is found below its keeper.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from c101.agents.runtime.process.keeper import processes
from c101.agents.runtime.process.launch import KEEPER_MARK, MACHINE_MARK, UNIT_MARK

#: Rounds of looking for what is left; each finds what was forked during the one before.
ROUNDS_MAX = 500
_ROUND_SECONDS = 0.01


def kill_machine(machine_id: str) -> int:
    """Kill every process of machine *machine_id* that this user may kill, but for the caller.

    Blocks until none is left. Returns how many there were.
    """
    return _kill({f"{MACHINE_MARK}={machine_id}"})


def kill_unit(machine_id: str, unit: str) -> int:
    """Kill every process of one unit, and its keeper. Blocks; returns how many there were."""
    return _kill({f"{MACHINE_MARK}={machine_id}", f"{UNIT_MARK}={unit}"})


def marked(marks: set[str]) -> Iterator[tuple[int, bool]]:
    """Yield (pid, whether it is a keeper) of each live process whose environment has *marks*."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all that is needed
        if name.isdecimal() and int(name) != os.getpid():
            found = environment_of(int(name))
            if marks <= found:
                yield int(name), f"{KEEPER_MARK}=1" in found


def environment_of(pid: int) -> set[str]:
    """Return the assignments a process was started with; none when it is gone or not ours."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return set()
    return {pair.decode(errors="replace") for pair in raw.split(b"\0")}


def _kill(marks: set[str]) -> int:
    killed: set[int] = set()
    for _ in range(ROUNDS_MAX):
        found = dict(marked(marks))
        if not found:
            break
        for keeper in (pid for pid, is_keeper in found.items() if is_keeper):
            below = processes.descendants(keeper)
            _send(keeper)
            for pid in below:
                _send(pid)
            killed.update(below)
        for pid in found:
            _send(pid)
        killed.update(found)
        time.sleep(_ROUND_SECONDS)
    return len(killed)


def _send(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
