"""How a unit is stopped: signals, KillMode=, time-outs, the commands around it."""

import asyncio
import textwrap
from pathlib import Path

from tests.runtime.machine import Machine

STUBBORN = "/bin/sh -c 'trap \"\" TERM; echo up; while :; do sleep 0.05; done'"
#: Two processes that say which signal reached them.
PAIR = (
    '/bin/sh -c \'trap "echo main; exit 0" TERM; '
    '(trap "echo child; exit 0" TERM; echo up; while :; do sleep 0.05; done) & '
    "while :; do sleep 0.05; done'"
)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def start_and_stop(machine: Machine, service: str) -> list[int]:
    """Run a unit, stop it, and return the processes it had."""
    await machine.run("a.service", service)
    await machine.until_printed("a.service", "up")
    pids = list((await machine.now("a.service")).pids)
    await machine.units.stop("a.service")
    await machine.until("a.service", lambda unit: unit.sub in {"dead", "failed"})
    return pids


async def test_every_process_is_asked_to_end(machine: Machine) -> None:
    pids = await start_and_stop(machine, f"ExecStart={PAIR}")
    assert set(await machine.printed("a.service")) >= {"main", "child"}
    assert not any(is_running(pid) for pid in pids)


async def test_a_process_in_a_session_of_its_own_is_stopped_as_well(machine: Machine) -> None:
    code = "/bin/sh -c 'setsid setsid sleep 1000 & setsid sleep 1001 & sleep 0.1; echo up; wait'"
    pids = await start_and_stop(machine, f"ExecStart={code}")
    assert len(pids) >= 3
    assert not any(is_running(pid) for pid in pids)


async def test_mixed_asks_the_main_process_and_kills_the_rest(machine: Machine) -> None:
    pids = await start_and_stop(machine, f"ExecStart={PAIR}\nKillMode=mixed")
    printed = await machine.printed("a.service")
    assert "main" in printed
    assert "child" not in printed
    assert not any(is_running(pid) for pid in pids)


async def test_process_leaves_the_others_and_says_so(machine: Machine) -> None:
    pids = await start_and_stop(machine, f"ExecStart={PAIR}\nKillMode=process")
    assert any(is_running(pid) for pid in pids)
    assert any("remains running after unit stopped" in s for s in await machine.said("a.service"))


async def test_none_kills_nothing(machine: Machine) -> None:
    pids = await start_and_stop(machine, f"ExecStart={PAIR}\nKillMode=none\nExecStop=/bin/echo bye")
    assert "bye" in await machine.printed("a.service")
    assert any(is_running(pid) for pid in pids)


async def test_what_does_not_end_in_time_is_killed_and_the_stop_failed(machine: Machine) -> None:
    service = f"ExecStart={STUBBORN}\nTimeoutStopSec=200ms"
    pids = await start_and_stop(machine, service)
    assert not any(is_running(pid) for pid in pids)
    failed = machine.states["a.service"]
    assert (failed.active, failed.result) == ("failed", "timeout")
    said = await machine.said("a.service")
    assert "a.service: State 'stop-sigterm' timed out. Killing." in said
    assert any("with signal SIGKILL." in line for line in said)
    assert said[-1] == "Stopped a.service."


async def test_without_sigkill_what_does_not_end_is_left(machine: Machine) -> None:
    service = f"ExecStart={STUBBORN}\nTimeoutStopSec=100ms\nSendSIGKILL=no"
    pids = await start_and_stop(machine, service)
    assert any(is_running(pid) for pid in pids)


async def test_another_signal_can_be_asked_for(machine: Machine) -> None:
    code = "/bin/sh -c 'trap \"echo got int; exit 0\" INT; echo up; while :; do sleep 0.05; done'"
    await start_and_stop(machine, f"ExecStart={code}\nKillSignal=SIGINT")
    assert "got int" in await machine.printed("a.service")


async def test_a_stopped_process_is_woken_to_be_stopped(machine: Machine) -> None:
    code = "/bin/sh -c 'echo up; kill -STOP $$$$; sleep 1000'"
    await start_and_stop(machine, f"ExecStart={code}\nTimeoutStopSec=5")
    assert machine.states["a.service"].result == "success"


async def test_the_commands_around_a_stop_run_in_order(machine: Machine) -> None:
    service = """
        ExecStart=/bin/sh -c 'trap "echo term; exit 0" TERM; echo up; while :; do sleep 0.05; done'
        ExecStop=/bin/echo stop one
        ExecStop=/bin/echo stop two of $MAINPID
        ExecStopPost=/bin/echo post ${SERVICE_RESULT} ${EXIT_CODE} ${EXIT_STATUS}
    """
    await machine.run("a.service", textwrap.dedent(service))
    await machine.until_printed("a.service", "up")
    main = (await machine.now("a.service")).main_pid
    await machine.units.stop("a.service")
    await machine.until_state("a.service", "inactive", "dead")
    printed = [line for line in await machine.printed("a.service") if line != "Terminated"]
    assert printed == [
        "up", "stop one", f"stop two of {main}", "term", "post success exited 0",
    ]  # fmt: skip


async def test_a_stop_command_that_hangs_is_cut_short(machine: Machine) -> None:
    service = "ExecStart=/bin/sh -c 'echo up; sleep 1000'\nExecStop=/bin/sleep 1000\n"
    await start_and_stop(machine, service + "TimeoutStopSec=200ms")
    assert machine.states["a.service"].result == "timeout"
    assert "a.service: Stopping timed out. Terminating." in await machine.said("a.service")


async def test_a_start_that_takes_too_long_is_a_failure(machine: Machine) -> None:
    await machine.run("a.service", "Type=oneshot\nExecStart=/bin/sleep 1000\nTimeoutSec=200ms")
    failed = await machine.until_state("a.service", "failed", "failed")
    assert failed.result == "timeout"
    said = await machine.said("a.service")
    assert "a.service: start operation timed out. Terminating." in said


async def test_a_unit_that_runs_for_too_long_is_stopped(machine: Machine) -> None:
    await machine.run("a.service", "ExecStart=/bin/sleep 1000\nRuntimeMaxSec=200ms")
    failed = await machine.until_state("a.service", "failed", "failed")
    assert failed.result == "timeout"


async def test_a_start_during_a_stop_follows_it(machine: Machine) -> None:
    code = "/bin/sh -c 'trap \"sleep 0.3; exit 0\" TERM; echo up; while :; do sleep 0.05; done'"
    await machine.run("a.service", f"ExecStart={code}")
    await machine.until_printed("a.service", "up")
    first = await machine.now("a.service")
    await machine.units.stop("a.service")
    await machine.units.start("a.service")
    second = await machine.until(
        "a.service", lambda unit: unit.sub == "running" and unit.main_pid != first.main_pid
    )
    assert second.active == "active"


async def test_what_forks_while_it_is_killed_does_not_get_away(machine: Machine) -> None:
    code = "/bin/sh -c 'trap \"\" TERM; echo up; while :; do (sleep 1000 &) ; sleep 0.002; done'"
    await machine.run("a.service", f"ExecStart={code}\nTimeoutStopSec=200ms")
    await machine.until_printed("a.service", "up")
    await asyncio.sleep(0.3)
    await machine.units.stop("a.service")
    await machine.until("a.service", lambda unit: unit.sub in {"dead", "failed"})
    assert (await machine.now("a.service")).pids == ()
