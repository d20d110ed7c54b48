"""Each Type= with real processes: when it is active, and what its end makes of it."""

import asyncio
import textwrap
from pathlib import Path

import pytest

from tests.runtime.machine import Machine

NOTIFY = "import os, socket, sys, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
CONNECT = 's.connect(chr(0) + os.environ["NOTIFY_SOCKET"][1:]);'


def python(code: str) -> str:
    """Return a command line that runs *code*."""
    escaped = code.replace("\\", "\\\\").replace("'", "\\'").replace("%", "%%").replace("$", "$$")
    return f"/usr/bin/env python3 -c '{escaped}'"


async def test_a_simple_unit_is_started_at_once_and_its_failure_is_seen(machine: Machine) -> None:
    await machine.run("a.service", "ExecStart=/bin/sh -c 'exit 7'")
    failed = await machine.until_state("a.service", "failed", "failed")
    assert (failed.result, failed.exit_status) == ("exit-code", 7)
    assert await machine.said("a.service") == [
        "Started a.service.",
        "a.service: Main process exited, code=exited, status=7/NOTRUNNING",
        "a.service: Failed with result 'exit-code'.",
    ]


async def test_a_simple_unit_without_a_program_is_started_and_fails_then(machine: Machine) -> None:
    await machine.run("a.service", "ExecStart=/no/such/program")
    failed = await machine.until_state("a.service", "failed", "failed")
    assert (failed.result, failed.exit_status) == ("exit-code", 203)
    said = await machine.said("a.service")
    assert "Started a.service." in said
    assert (
        "a.service: Failed at step EXEC spawning /no/such/program: No such file or directory"
        in said
    )
    assert "a.service: Main process exited, code=exited, status=203/EXEC" in said


async def test_an_exec_unit_without_a_program_is_never_active(machine: Machine) -> None:
    await machine.run("a.service", "Type=exec\nExecStart=/no/such/program")
    failed = await machine.until_state("a.service", "failed", "failed")
    assert failed.exit_status == 203
    assert "Failed to start a.service." in await machine.said("a.service")
    assert ("a.service", "active", "running") not in machine.history


async def test_an_exec_unit_is_active_once_its_program_runs(machine: Machine) -> None:
    await machine.run("a.service", "Type=exec\nExecStart=/bin/sleep 1000")
    await machine.until_state("a.service", "active", "running")


async def test_a_oneshot_unit_runs_its_commands_in_order_and_is_dead_again(
    machine: Machine,
) -> None:
    service = """
        Type=oneshot
        ExecStartPre=/bin/echo before
        ExecStart=/bin/echo one ; /bin/echo two
        ExecStart=-/bin/false
        ExecStart=/bin/echo three
        ExecStartPost=/bin/echo after
    """
    await machine.run("a.service", textwrap.dedent(service), unit="Description=All in order")
    await machine.until_printed("a.service", "after")
    dead = await machine.until_state("a.service", "inactive", "dead")
    assert dead.result == "success"
    assert await machine.printed("a.service") == ["before", "one", "two", "three", "after"]
    assert await machine.said("a.service") == [
        "Starting a.service - All in order...",
        "a.service: Deactivated successfully.",
        "Finished a.service - All in order.",
    ]


async def test_a_oneshot_unit_that_fails_skips_the_rest(machine: Machine) -> None:
    service = "Type=oneshot\nExecStart=/bin/false\nExecStart=/bin/echo never\n"
    await machine.run(
        "a.service", service + "ExecStopPost=/bin/echo $SERVICE_RESULT ${EXIT_STATUS}"
    )
    failed = await machine.until_state("a.service", "failed", "failed")
    assert failed.result == "exit-code"
    assert await machine.printed("a.service") == ["exit-code 1"]
    assert "Failed to start a.service." in await machine.said("a.service")


async def test_a_oneshot_unit_that_remains_is_active_and_exited(machine: Machine) -> None:
    service = "Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\nExecStop=/bin/echo bye"
    await machine.run("a.service", service)
    exited = await machine.until_state("a.service", "active", "exited")
    assert exited.main_pid is None
    await machine.units.stop("a.service")
    await machine.until_state("a.service", "inactive", "dead")
    assert await machine.printed("a.service") == ["bye"]


async def test_a_unit_with_only_a_stop_command_is_a_oneshot_that_remains(machine: Machine) -> None:
    await machine.run("a.service", "RemainAfterExit=yes\nExecStop=/bin/echo stopped")
    await machine.until_state("a.service", "active", "exited")
    await machine.units.stop("a.service")
    await machine.until_state("a.service", "inactive", "dead")
    assert await machine.printed("a.service") == ["stopped"]


async def test_the_main_process_of_a_forking_unit_is_guessed(machine: Machine) -> None:
    service = "Type=forking\nExecStart=/bin/sh -c 'echo up; sleep 1000 & exit 0'"
    await machine.run("a.service", service)
    running = await machine.until_state("a.service", "active", "running")
    assert running.main_pid
    command = Path(f"/proc/{running.main_pid}/cmdline")
    async with asyncio.timeout(5):
        while command.read_bytes() != b"sleep\x001000\0":  # until then it is the shell that forked
            await asyncio.sleep(0.01)


async def test_the_main_process_of_a_forking_unit_is_read_from_its_pid_file(
    machine: Machine, tmp_path: Path
) -> None:
    pid_file = tmp_path / "daemon.pid"
    daemon = tmp_path / "daemon.sh"
    daemon.write_text(f"sleep 0.2\necho $$ > {pid_file}\nexec sleep 1000\n")
    service = f"""
        Type=forking
        PIDFile={pid_file}
        ExecStart=/bin/sh -c '(sleep 999 & sh {daemon} &)'
    """
    await machine.run("a.service", textwrap.dedent(service))
    running = await machine.until_state("a.service", "active", "running")
    assert pid_file.read_text().strip() == str(running.main_pid)
    assert len((await machine.now("a.service")).pids) >= 2
    await machine.units.stop("a.service")
    await machine.until_state("a.service", "inactive", "dead")
    assert not pid_file.exists()


async def test_a_daemon_that_never_writes_its_pid_file_fails(
    machine: Machine, tmp_path: Path
) -> None:
    service = f"Type=forking\nPIDFile={tmp_path}/none.pid\nExecStart=/bin/sh -c 'sleep 0.1 &'"
    await machine.run("a.service", service)
    failed = await machine.until_state("a.service", "failed", "failed")
    assert failed.result == "protocol"
    said = await machine.said("a.service")
    assert "a.service: Daemon never wrote its PID file. Failing." in said


async def test_the_exit_of_a_daemon_that_forked_away_is_seen(machine: Machine) -> None:
    service = "Type=forking\nExecStart=/bin/sh -c '(sleep 0.3; exit 5) & exit 0'"
    await machine.run("a.service", service)
    failed = await machine.until_state("a.service", "failed", "failed")
    assert failed.exit_status == 5


async def test_a_notify_unit_is_active_when_it_says_so(machine: Machine) -> None:
    code = (
        NOTIFY
        + CONNECT
        + (
            's.send(b"STATUS=loading 50%"); time.sleep(0.3);'
            's.send(b"READY=1\\nSTATUS=serving"); time.sleep(1000)'
        )
    )
    await machine.run("a.service", f"Type=notify\nExecStart={python(code)}")
    waiting = await machine.until("a.service", lambda unit: unit.status_text == "loading 50%")
    assert (waiting.active, waiting.sub) == ("activating", "start")
    ready = await machine.until_state("a.service", "active", "running")
    assert ready.status_text == "serving"


async def test_a_notify_unit_that_ends_without_a_word_has_broken_the_protocol(
    machine: Machine,
) -> None:
    await machine.run("a.service", "Type=notify\nExecStart=/bin/true")
    failed = await machine.until_state("a.service", "failed", "failed")
    assert failed.result == "protocol"


async def test_a_child_may_not_speak_for_the_unit_unless_all_may(machine: Machine) -> None:
    child = NOTIFY + CONNECT + 's.send(b"READY=1"); time.sleep(0.2)'
    parent = (
        f'import subprocess, sys, time; subprocess.run([sys.executable, "-c", {child!r}]);'
        "time.sleep(1000)"
    )
    service = f"Type=notify\nExecStart={python(parent)}\nTimeoutStartSec=1\n"
    await machine.run("main.service", service)
    await machine.run("all.service", service + "NotifyAccess=all")
    await machine.until_state("all.service", "active", "running")
    failed = await machine.until_state("main.service", "failed", "failed")
    assert failed.result == "timeout"
    assert any("reception only permitted for main" in s for s in await machine.said("main.service"))


async def test_a_notify_unit_can_name_its_main_process(machine: Machine) -> None:
    code = (
        NOTIFY
        + CONNECT
        + (
            "pid = os.fork();"
            "os.execv('/bin/sleep', ['sleep', '1000']) if not pid else None;"
            's.send(b"MAINPID=%d\\nREADY=1" % pid); time.sleep(1000)'
        ).replace("'", '"')
    )
    await machine.run("a.service", f"Type=notify\nExecStart={python(code)}")
    running = await machine.until_state("a.service", "active", "running")
    assert Path(f"/proc/{running.main_pid}/cmdline").read_bytes() == b"sleep\x001000\0"


async def test_a_barrier_is_answered_by_closing_its_descriptor(machine: Machine) -> None:
    code = (
        NOTIFY
        + CONNECT
        + (
            "r, w = os.pipe();"
            "sent = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, w.to_bytes(4, sys.byteorder))];"
            's.sendmsg([b"BARRIER=1"], sent);'
            "os.close(w); os.read(r, 1);"
            's.send(b"READY=1"); time.sleep(1000)'
        )
    )
    await machine.run("a.service", f"Type=notify\nExecStart={python(code)}")
    await machine.until_state("a.service", "active", "running")


async def test_a_unit_that_forgets_its_watchdog_is_aborted(machine: Machine) -> None:
    code = (
        NOTIFY
        + CONNECT
        + (
            's.send(b"READY=1"); print(os.environ["WATCHDOG_USEC"], flush=True);'
            '[(time.sleep(0.1), s.send(b"WATCHDOG=1")) for _ in range(5)]; time.sleep(1000)'
        )
    )
    await machine.run("a.service", f"Type=notify\nWatchdogSec=400ms\nExecStart={python(code)}")
    failed = await machine.until_state("a.service", "failed", "failed")
    assert failed.result == "watchdog"
    assert await machine.printed("a.service") == ["400000"]


async def test_a_reload_runs_its_command_with_the_main_process_known(machine: Machine) -> None:
    service = """
        ExecStart=/bin/sh -c 'trap "echo reloaded" HUP; echo up; while :; do sleep 0.05; done'
        ExecReload=/bin/kill -HUP $MAINPID
    """
    await machine.run("a.service", textwrap.dedent(service))
    await machine.until_printed("a.service", "up")
    before = await machine.now("a.service")
    await machine.units.reload("a.service")
    await machine.until_printed("a.service", "reloaded")
    after = await machine.until_state("a.service", "active", "running")
    assert after.main_pid == before.main_pid
    assert "Reloaded a.service." in await machine.said("a.service")


async def test_a_reload_that_fails_leaves_the_unit_running(machine: Machine) -> None:
    await machine.run("a.service", "ExecStart=/bin/sleep 1000\nExecReload=/bin/false")
    await machine.until_state("a.service", "active", "running")
    await machine.units.reload("a.service")
    await machine.until_printed("a.service", "Reload failed")
    running = await machine.until_state("a.service", "active", "running")
    assert running.result == "success"


@pytest.mark.parametrize("prefix", ["-", "-@", "-:"])
async def test_a_failed_command_with_a_dash_is_forgiven(machine: Machine, prefix: str) -> None:
    name = " name" if "@" in prefix else ""
    service = f"ExecStartPre={prefix}/bin/false{name}\nExecStart=/bin/sleep 1000"
    await machine.run("a.service", service)
    await machine.until_state("a.service", "active", "running")


async def test_a_failed_command_before_the_start_fails_the_unit(machine: Machine) -> None:
    service = "ExecStartPre=/bin/false\nExecStart=/bin/echo never\nExecStop=/bin/echo neither\n"
    await machine.run("a.service", service + "ExecStopPost=/bin/echo at last")
    failed = await machine.until_state("a.service", "failed", "failed")
    assert failed.result == "exit-code"
    assert await machine.printed("a.service") == ["at last"]
