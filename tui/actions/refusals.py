"""When an action cannot be done now, and the words that say why; and the commands that do the same.

Every function takes what is focused. A refusal answers ``None`` when there is nothing in the way.
"""

import shlex
from collections.abc import Callable

from c101.tui.actions.action import MACHINES, Context, Reason


def names(context: Context) -> str:
    """Return the focused units, quoted for a shell."""
    return " ".join(shlex.quote(unit.name) for unit in context.units)


def ctl(verb: str) -> Callable[[Context], str]:
    """Return what makes ``c101ctl VERB UNIT...`` of a context."""
    return lambda context: f"c101ctl {verb} {names(context)}"


def key_ctl(verb: str, tail: str = "") -> Callable[[Context], str]:
    """Return what makes ``c101ctl VERB KEY`` of a context."""

    def command(context: Context) -> str:
        path = shlex.quote(context.key.path) if context.key is not None else "KEY"
        return f"c101ctl {verb} {path}{tail}"

    return command


def needs_units(context: Context) -> Reason:
    """Refuse where no unit is focused, or nothing could be written."""
    if not context.connected:
        return "the cluster's KV is not connected"
    return None if context.units else "no unit is focused"


def not_templates(context: Context) -> Reason:
    """Refuse what only instances can do."""
    missing = needs_units(context)
    if missing is not None:
        return missing
    for unit in context.units:
        if unit.is_template:
            return f"{unit.name} is a template: start an instance of it"
    return None


def can_start(context: Context) -> Reason:
    """Refuse to start what is launched."""
    reason = not_templates(context)
    if reason is None and all(unit.target == "launched" for unit in context.units):
        return f"{subject(context)} launched already (r restarts)"
    return reason


def can_stop(context: Context) -> Reason:
    """Refuse to stop what is not launched."""
    reason = not_templates(context)
    if reason is None and all(unit.target != "launched" for unit in context.units):
        return f"{subject(context)} not launched"
    return reason


def can_restart(context: Context) -> Reason:
    """Refuse to restart what is not launched."""
    reason = not_templates(context)
    if reason is None and any(unit.target != "launched" for unit in context.units):
        return f"{subject(context)} not launched (s starts)"
    return reason


def can_unload(context: Context) -> Reason:
    """Refuse to unload what is placed nowhere."""
    reason = not_templates(context)
    if reason is None and all(unit.target == "inactive" for unit in context.units):
        return f"{subject(context)} inactive already"
    return reason


def subject(context: Context) -> str:
    """Begin a sentence about the focused units."""
    one = len(context.units) == 1
    return f"{context.units[0].name} is" if one else f"{len(context.units)} units are"


def can_explain(context: Context) -> Reason:
    """Refuse where no unit is focused."""
    return None if context.units else "no unit is focused"


def can_log(context: Context) -> Reason:
    """Refuse where nothing focused has a journal."""
    if context.pane == MACHINES:
        return None if context.machine is not None else "no machine is focused"
    return None if context.units else "no unit is focused"


def can_show(context: Context) -> Reason:
    """Refuse where there is nothing to be shown at length."""
    if context.machine is not None or context.units:
        return None
    return "nothing is focused"


def needs_machine(context: Context) -> Reason:
    """Refuse where no machine is focused."""
    return None if context.machine is not None else "no machine is focused"


def can_power(context: Context) -> Reason:
    """Refuse to cut the power of machines that are not on this computer."""
    if context.machine is None:
        return "no machine is focused"
    if not context.can_power:
        return "power is only cut in a cluster on this computer (c101-console demo)"
    return None


def power_command(context: Context) -> str:
    """Return the command that cuts or restores the power."""
    if context.machine is None:
        return ""
    verb = "start" if context.machine.lost else "kill"
    return f"c101ctl local {verb} {shlex.quote(context.machine.name)}"


def can_edit(context: Context) -> Reason:
    """Refuse where no key is focused, or it belongs to the cluster itself."""
    if not context.connected:
        return "the cluster's KV is not connected"
    if context.key is None:
        return "no key is focused"
    if not context.key.exists:
        return f"{context.key.path} is a directory (n makes a key in it)"
    return unprotected(context)


def unprotected(context: Context) -> Reason:
    """Refuse the cluster's own keys."""
    if context.key is not None and context.key.protected:
        return "keys under /c101/ are the cluster's own: change units instead"
    return None


def can_create(context: Context) -> Reason:
    """Refuse where nothing could be written."""
    return None if context.connected else "the cluster's KV is not connected"


def logs_command(context: Context) -> str:
    """Return the command that follows the focused units."""
    return f"c101ctl journal -f {names(context)}"
