"""Target states and the commands that move a unit between them (fleet: states.md).

===========  ==============  =====================================
command      target after    legal before
===========  ==============  =====================================
submit       inactive        unknown (inactive: nothing to do)
load         loaded          unknown, inactive, loaded, launched
start        launched        unknown, inactive, loaded, launched
stop         loaded          loaded, launched
restart      launched        launched
unload       inactive        inactive, loaded, launched
destroy      unknown         inactive, loaded, launched
===========  ==============  =====================================

"Unknown" is a unit that the cluster does not have: ``None`` here. A command whose target is the
state that stands already changes nothing and succeeds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from c101.core.model.unit import TargetState


class Command(StrEnum):
    """What a person may ask for."""

    SUBMIT = "submit"
    LOAD = "load"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    UNLOAD = "unload"
    DESTROY = "destroy"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table: the target after a command, and those it is legal from."""

    after: TargetState | None
    before: frozenset[TargetState | None]


_INACTIVE, _LOADED, _LAUNCHED = TargetState.INACTIVE, TargetState.LOADED, TargetState.LAUNCHED

TRANSITIONS: Mapping[Command, Transition] = {
    Command.SUBMIT: Transition(_INACTIVE, frozenset({None, _INACTIVE})),
    Command.LOAD: Transition(_LOADED, frozenset({None, _INACTIVE, _LOADED, _LAUNCHED})),
    Command.START: Transition(_LAUNCHED, frozenset({None, _INACTIVE, _LOADED, _LAUNCHED})),
    Command.STOP: Transition(_LOADED, frozenset({_LOADED, _LAUNCHED})),
    Command.RESTART: Transition(_LAUNCHED, frozenset({_LAUNCHED})),
    Command.UNLOAD: Transition(_INACTIVE, frozenset({_INACTIVE, _LOADED, _LAUNCHED})),
    Command.DESTROY: Transition(None, frozenset({_INACTIVE, _LOADED, _LAUNCHED})),
}


def refuse(command: Command, current: TargetState | None) -> str | None:
    """Say why *command* cannot be used on a unit in *current*; ``None`` when it can."""
    if current in TRANSITIONS[command].before:
        return None
    if current is None:
        return f"unable to {command} a unit that the cluster does not have"
    return f"unable to {command} a unit in state {current}"
