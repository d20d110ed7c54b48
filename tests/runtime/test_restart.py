"""Restart= and its limits."""

import time

import pytest

from tests.runtime.machine import Machine

FAST = "RestartSec=10ms\nStartLimitBurst=3\n"
ENDS = {
    "clean": "ExecStart=/bin/true",
    "code": "ExecStart=/bin/sh -c 'exit 1'",
    "signal": "ExecStart=/bin/sh -c 'kill -USR1 $$$$'",
    "asked": "ExecStart=/bin/sh -c 'kill -TERM $$$$'",
    "abort": "ExecStart=/bin/sh -c 'kill -ABRT $$$$'",
    "timeout": "Type=notify\nTimeoutStartSec=100ms\nExecStart=/bin/sleep 1000",
}
#: The table of systemd.service(5): after which ends each Restart= starts again.
AGAIN = {
    "no": "",
    "on-success": "clean asked",
    "on-failure": "code signal abort timeout",
    "on-abnormal": "signal abort timeout",
    "on-abort": "signal abort",
    "on-watchdog": "",
    "always": "clean asked code signal abort timeout",
}


@pytest.mark.parametrize("policy", AGAIN)
async def test_a_unit_is_started_again_after_the_ends_its_restart_names(
    machine: Machine, policy: str
) -> None:
    for end, service in ENDS.items():
        await machine.run(f"{end}.service", f"{service}\nRestart={policy}\n{FAST}")
    for end in ENDS:
        rest = await machine.until(
            f"{end}.service", lambda unit: unit.sub in {"dead", "failed"} and unit.since > 0
        )
        assert rest.restarts == (3 if end in AGAIN[policy].split() else 0), (end, policy)


async def test_a_restart_waits_and_is_counted_and_said(machine: Machine) -> None:
    began = time.monotonic()
    service = "ExecStart=/bin/false\nRestart=on-failure\nRestartSec=300ms\nStartLimitBurst=2"
    await machine.run("a.service", service)
    waiting = await machine.until_state("a.service", "activating", "auto-restart")
    assert waiting.result == "exit-code"
    await machine.until_state("a.service", "failed", "failed")
    assert 0.6 <= time.monotonic() - began < 5
    assert await machine.said("a.service") == [
        "Started a.service.",
        "a.service: Main process exited, code=exited, status=1/FAILURE",
        "a.service: Failed with result 'exit-code'.",
        "a.service: Scheduled restart job, restart counter is at 1.",
        "Stopped a.service.",
        "Started a.service.",
        "a.service: Main process exited, code=exited, status=1/FAILURE",
        "a.service: Failed with result 'exit-code'.",
        "a.service: Scheduled restart job, restart counter is at 2.",
        "Stopped a.service.",
        "a.service: Start request repeated too quickly.",
        "a.service: Failed with result 'exit-code'.",
        "Failed to start a.service.",
    ]


async def test_a_unit_that_ends_well_too_often_hits_the_start_limit(machine: Machine) -> None:
    await machine.run("a.service", f"ExecStart=/bin/true\nRestart=always\n{FAST}")
    failed = await machine.until_state("a.service", "failed", "failed")
    assert failed.result == "start-limit-hit"


async def test_the_start_limit_holds_for_orders_too_until_it_is_reset(machine: Machine) -> None:
    await machine.load("a.service", "ExecStart=/bin/false", unit="StartLimitBurst=1")
    await machine.units.start("a.service")
    await machine.until_state("a.service", "failed", "failed")
    await machine.units.start("a.service")
    await machine.until_printed("a.service", "repeated too quickly")
    await machine.units.reset_failed("a.service")
    await machine.until_state("a.service", "inactive", "dead")
    await machine.units.start("a.service")
    await machine.until_state("a.service", "failed", "failed")
    started = [line for line in await machine.said("a.service") if line.startswith("Started")]
    assert len(started) == 2


async def test_without_an_interval_there_is_no_limit(machine: Machine) -> None:
    service = "ExecStart=/bin/false\nRestart=always\nRestartSec=1ms\n"
    await machine.load("a.service", service, unit="StartLimitIntervalSec=0")
    await machine.units.start("a.service")
    await machine.until("a.service", lambda unit: unit.restarts >= 10)


async def test_a_stop_ends_the_restarting(machine: Machine) -> None:
    await machine.run("a.service", "ExecStart=/bin/false\nRestart=always\nRestartSec=1000")
    await machine.until_state("a.service", "activating", "auto-restart")
    await machine.units.stop("a.service")
    await machine.until_state("a.service", "inactive", "dead")


async def test_a_unit_that_is_stopped_is_not_started_again(machine: Machine) -> None:
    await machine.run("a.service", "ExecStart=/bin/sleep 1000\nRestart=always\nRestartSec=1ms")
    await machine.until_state("a.service", "active", "running")
    await machine.units.stop("a.service")
    await machine.until_state("a.service", "inactive", "dead")
    assert "auto-restart" not in {sub for _, _, sub in machine.history}


@pytest.mark.parametrize(
    ("directive", "restarts"),
    [
        pytest.param("RestartPreventExitStatus=3 SIGUSR2", 0, id="prevented"),
        pytest.param("RestartPreventExitStatus=4", 2, id="another status is prevented"),
        pytest.param("Restart=no\nRestartForceExitStatus=3", 2, id="forced"),
        pytest.param("Restart=on-failure\nSuccessExitStatus=3", 0, id="a success"),
    ],
)
async def test_exit_statuses_can_be_told_apart(
    machine: Machine, directive: str, restarts: int
) -> None:
    service = f"ExecStart=/bin/sh -c 'exit 3'\nRestart=on-failure\n{directive}\n"
    await machine.run("a.service", service + "RestartSec=1ms\nStartLimitBurst=2")
    rest = await machine.until_rest("a.service")
    assert rest.restarts == restarts
