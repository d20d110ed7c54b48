"""One-off commands where there is no service manager: children of the agent."""

import pytest

from c101.agents.runtime.commands.command import Launcher, as_child
from tests.runtime.commands_contract import CommandsContract


class TestAsChild(CommandsContract):
    """Commands as children."""

    @pytest.fixture
    def launcher(self) -> Launcher:
        return as_child
