"""The table of target states."""

import pytest

from c101.core.model.unit import TargetState
from c101.core.units.states import TRANSITIONS, Command, refuse

I, L, R = TargetState.INACTIVE, TargetState.LOADED, TargetState.LAUNCHED
TABLE: dict[Command, tuple[TargetState | None, set[TargetState | None]]] = {
    Command.SUBMIT: (I, {None, I}),
    Command.LOAD: (L, {None, I, L}),
    Command.START: (R, {None, I, L, R}),
    Command.STOP: (L, {L, R}),
    Command.UNLOAD: (I, {I, L, R}),
    Command.DESTROY: (None, {I, L, R}),
}


@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize("current", [None, I, L, R])
def test_a_command_is_legal_from_the_states_in_the_table(
    command: Command, current: TargetState | None
) -> None:
    after, before = TABLE[command]
    assert TRANSITIONS[command].after == after
    assert (refuse(command, current) is None) == (current in before)


def test_a_refusal_says_what_stands_in_the_way() -> None:
    assert refuse(Command.STOP, I) == "unable to stop a unit in state inactive"
    assert refuse(Command.STOP, None) == "unable to stop a unit that the cluster does not have"
