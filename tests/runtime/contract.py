"""What every ``UnitManager`` does, whatever runs its units.

A module of tests subclasses ``UnitManagerContract`` and gives the fixture ``machine`` (see
``tests/runtime/machine.py``). The units here use only what systemd and our own runtime share.
"""

import asyncio
from pathlib import Path

import pytest

from c101.agents.runtime.unit_manager import JournalQuery
from c101.core.errors import C101Error, NotFoundError
from c101.core.units.file import UnitFileError
from tests.runtime.machine import Machine

SLEEPER = "ExecStart=/bin/sleep 1000"
ECHO = "Type=oneshot\nExecStart=/bin/echo a line"


class UnitManagerContract:
    """The contract of ``c101/agents/runtime/unit_manager.py``, as tests."""

    async def test_a_loaded_unit_is_inactive_and_known_by_its_hash(self, machine: Machine) -> None:
        await machine.units.load("a.service", f"[Service]\n{SLEEPER}\n", unit_hash="beef")
        (unit,) = await machine.units.units()
        assert (unit.name, unit.load, unit.active, unit.sub) == (
            "a.service", "loaded", "inactive", "dead",
        )  # fmt: skip
        assert unit.hash == "beef"

    async def test_units_are_listed_by_name(self, machine: Machine) -> None:
        for name in ("b.service", "c@2.service", "a.service"):
            await machine.load(name, SLEEPER)
        listed = [unit.name for unit in await machine.units.units()]
        assert listed == ["a.service", "b.service", "c@2.service"]

    async def test_a_text_with_an_error_is_refused_and_changes_nothing(
        self, machine: Machine
    ) -> None:
        await machine.load("a.service", SLEEPER)
        before = await machine.units.units()
        with pytest.raises(UnitFileError) as refused:
            await machine.units.load("a.service", "[Service]\nExecStart\n", unit_hash="x")
        assert refused.value.line == 2
        with pytest.raises(UnitFileError):
            await machine.units.load("b.service", "[Service]\nUser=nobody\n", unit_hash="x")
        assert await machine.units.units() == before

    async def test_a_started_unit_runs_and_a_second_start_changes_nothing(
        self, machine: Machine
    ) -> None:
        await machine.run("a.service", SLEEPER)
        running = await machine.until_state("a.service", "active", "running")
        assert running.main_pid
        await machine.units.start("a.service")
        assert (await machine.now("a.service")).main_pid == running.main_pid

    async def test_a_stopped_unit_is_dead_and_a_second_stop_changes_nothing(
        self, machine: Machine
    ) -> None:
        await machine.run("a.service", SLEEPER)
        await machine.until_state("a.service", "active", "running")
        await machine.units.stop("a.service")
        stopped = await machine.until_state("a.service", "inactive", "dead")
        assert stopped.result == "success"
        await machine.units.stop("a.service")
        assert (await machine.now("a.service")).active == "inactive"

    async def test_a_restarted_unit_has_another_process(self, machine: Machine) -> None:
        await machine.run("a.service", SLEEPER)
        first = await machine.until_state("a.service", "active", "running")
        await machine.units.restart("a.service", restart="2:again")
        second = await machine.until(
            "a.service", lambda u: u.sub == "running" and u.main_pid != first.main_pid
        )
        assert second.restart == "2:again"

    async def test_a_restart_starts_a_unit_that_was_at_rest(self, machine: Machine) -> None:
        await machine.load("a.service", SLEEPER)
        await machine.units.restart("a.service")
        await machine.until_state("a.service", "active", "running")

    async def test_how_a_run_ended_is_not_told_as_the_answer_to_the_next_wish(
        self, machine: Machine, tmp_path: Path
    ) -> None:
        flag = tmp_path / "flag"
        service = f"ExecStart=/bin/sh -c 'test -e {flag} && exec sleep 1000; exit 3'"
        await machine.run("a.service", service)
        await machine.until("a.service", lambda unit: unit.active == "failed")
        flag.touch()
        await machine.units.restart("a.service", restart="2:again")
        told = await machine.until("a.service", lambda unit: unit.restart == "2:again")
        assert told.active in {"activating", "active"}

    async def test_verbs_for_a_unit_that_is_not_loaded_raise_not_found(
        self, machine: Machine
    ) -> None:
        for verb in (machine.units.start, machine.units.stop, machine.units.restart):
            with pytest.raises(NotFoundError):
                await verb("none.service")
        for verb in (machine.units.reload, machine.units.reset_failed):
            with pytest.raises(NotFoundError):
                await verb("none.service")

    async def test_an_unknown_unit_is_unloaded_without_a_word(self, machine: Machine) -> None:
        await machine.units.unload("none.service")

    async def test_a_running_unit_is_stopped_before_it_is_forgotten(self, machine: Machine) -> None:
        await machine.run("a.service", SLEEPER)
        await machine.until_state("a.service", "active", "running")
        await machine.units.unload("a.service")
        gone = await machine.until("a.service", lambda unit: unit.load == "not-found")
        assert gone.active == "inactive"
        assert await machine.units.units() == []

    async def test_a_unit_loaded_again_with_another_text_runs_on_with_the_old_one(
        self, machine: Machine
    ) -> None:
        await machine.run("a.service", SLEEPER)
        first = await machine.until_state("a.service", "active", "running")
        await machine.units.load(
            "a.service", "[Service]\nType=exec\nExecStart=/bin/sleep 2000\n", unit_hash="two"
        )
        held = await machine.now("a.service")
        assert (held.hash, held.main_pid) == ("two", first.main_pid)
        await machine.units.restart("a.service")
        second = await machine.until(
            "a.service", lambda u: u.sub == "running" and u.main_pid != first.main_pid
        )
        command = await asyncio.to_thread(_command, second.main_pid or 0)
        assert command == ["/bin/sleep", "2000"]

    async def test_a_unit_loaded_while_it_is_being_unloaded_stays(self, machine: Machine) -> None:
        slow = 'trap "sleep 0.3; exit 0" TERM; echo up; while :; do sleep 0.05; done'
        await machine.run("a.service", f"ExecStart=/bin/sh -c '{slow}'")
        await machine.until_printed("a.service", "up")
        await machine.units.unload("a.service")
        await machine.load("a.service", SLEEPER)
        await machine.until_state("a.service", "inactive", "dead")
        await machine.units.start("a.service")
        await machine.until_state("a.service", "active", "running")

    async def test_a_reload_of_a_unit_without_one_is_refused(self, machine: Machine) -> None:
        await machine.run("a.service", SLEEPER)
        await machine.until_state("a.service", "active", "running")
        with pytest.raises(C101Error):
            await machine.units.reload("a.service")

    async def test_a_failed_unit_stays_failed_until_it_is_reset(self, machine: Machine) -> None:
        await machine.run("a.service", "ExecStart=/bin/false")
        failed = await machine.until_state("a.service", "failed", "failed")
        assert (failed.result, failed.exit_status) == ("exit-code", 1)
        await machine.units.reset_failed("a.service")
        await machine.until_state("a.service", "inactive", "dead")

    async def test_what_a_unit_prints_is_read_from_its_journal(self, machine: Machine) -> None:
        await machine.run("echo.service", ECHO)
        await machine.until_printed("echo.service", "a line")
        (entry,) = [e for e in await machine.entries("echo.service") if e.message == b"a line"]
        assert (entry.unit, entry.priority, entry.identifier) == ("echo.service", 6, "echo")

    async def test_a_read_resumes_exactly_after_a_cursor(self, machine: Machine) -> None:
        await machine.run("a.service", ECHO)
        await machine.until_printed("a.service", "a line")
        entries = await machine.entries("a.service")
        for place, entry in enumerate(entries):
            query = JournalQuery(units=("a.service",), after_cursor=entry.cursor)
            async with machine.units.journal(query) as chunks:
                rest = [e async for chunk in chunks for e in chunk.entries]
            assert rest[: len(entries) - place - 1] == entries[place + 1 :]

    async def test_a_read_after_a_cursor_of_another_unit_misses_nothing(
        self, machine: Machine
    ) -> None:
        await machine.run("b.service", ECHO)
        await machine.until_rest("b.service")
        await machine.until_printed("b.service", "a line")
        last = (await machine.entries("b.service"))[-1].cursor
        await machine.run("a.service", ECHO)
        await machine.until_printed("a.service", "a line")
        query = JournalQuery(units=("a.service",), after_cursor=last)
        async with machine.units.journal(query) as chunks:
            read = [e async for chunk in chunks for e in chunk.entries]
        whole = await machine.entries("a.service")
        assert read[: len(whole)] == whole[: len(read)]
        assert b"a line" in [entry.message for entry in read]

    async def test_a_read_says_when_all_that_was_stored_has_been_given(
        self, machine: Machine
    ) -> None:
        await machine.run("a.service", ECHO)
        await machine.until_printed("a.service", "a line")
        async with machine.units.journal(JournalQuery(follow=True)) as chunks:
            async for chunk in chunks:
                if chunk.caught_up:
                    break


def _command(pid: int) -> list[str]:
    with open(f"/proc/{pid}/cmdline") as file:  # noqa: PTH123 - proc is no tree of paths
        return file.read().split("\0")[:-1]
