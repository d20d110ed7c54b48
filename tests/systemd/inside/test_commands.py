"""One-off commands beside systemd: transient units, which leave nothing behind."""

import pytest

from c101.agents.runtime.commands.command import Command, Launcher, as_unit
from c101.agents.runtime.commands.running import running
from tests.runtime.commands_contract import CommandsContract, outcome
from tests.systemd.inside.commands import systemctl


class TestAsUnit(CommandsContract):
    """Commands as units."""

    @pytest.fixture
    def launcher(self) -> Launcher:
        return as_unit

    async def test_it_is_a_unit_of_its_own_and_gone_afterwards(self, launcher: Launcher) -> None:
        command = Command(argv=("/bin/sh", "-c", "cat /proc/self/cgroup; exit 1"))
        async with running(command, launcher) as one:
            status, out, _ = await outcome(one)
        assert (status, b"/system.slice/c101-command-" in out) == (1, True)
        assert await systemctl("list-units", "--all", "--no-legend", "c101-command-*") == ""
