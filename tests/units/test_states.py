"""The table of target states."""

import pytest

from c101.core.model.unit import TargetState
from c101.core.units.states import TRANSITIONS, Command, refuse

INACTIVE, LOADED, LAUNCHED = TargetState.INACTIVE, TargetState.LOADED, TargetState.LAUNCHED
TABLE: dict[Command, tuple[TargetState | None, set[TargetState | None]]] = {
    Command.SUBMIT: (INACTIVE, {None, INACTIVE}),
    Command.LOAD: (LOADED, {None, INACTIVE, LOADED, LAUNCHED}),
    Command.START: (LAUNCHED, {None, INACTIVE, LOADED, LAUNCHED}),
    Command.STOP: (LOADED, {LOADED, LAUNCHED}),
    Command.RESTART: (LAUNCHED, {LAUNCHED}),
    Command.UNLOAD: (INACTIVE, {INACTIVE, LOADED, LAUNCHED}),
    Command.DESTROY: (None, {INACTIVE, LOADED, LAUNCHED}),
}


@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize("current", [None, INACTIVE, LOADED, LAUNCHED])
def test_a_command_is_legal_from_the_states_in_the_table(
    command: Command, current: TargetState | None
) -> None:
    after, before = TABLE[command]
    assert TRANSITIONS[command].after == after
    assert (refuse(command, current) is None) == (current in before)


def test_a_refusal_says_what_stands_in_the_way() -> None:
    assert refuse(Command.STOP, INACTIVE) == "unable to stop a unit in state inactive"
    assert refuse(Command.STOP, None) == "unable to stop a unit that the cluster does not have"
