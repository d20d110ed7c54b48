"""Commands as typed after ``:``: the words of ``c101ctl``, done by the actions of the keys."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from c101.tui.actions.action import MachineFocus, UnitFocus
from c101.tui.store.machines import MachineRow
from c101.tui.store.units import UnitRow

if TYPE_CHECKING:
    from c101.tui.screens.main import MainScreen

#: Verb to the action that does it.
_UNIT_ACTIONS = {
    "start": "units.start",
    "stop": "units.stop",
    "restart": "units.restart",
    "unload": "units.unload",
    "destroy": "units.destroy",
    "journal": "logs.focus",
    "logs": "logs.focus",
}

#: Verb to the tab that shows it.
_TABS = {"why": "why", "status": "status", "cat": "file"}

Problem = str


def obey(text: str, screen: "MainScreen") -> Problem:
    """Do what *text* says; return what is wrong with it, "" when nothing is."""
    try:
        words = shlex.split(text)
    except ValueError as exc:
        return f"{text}: {exc}"
    if not words:
        return ""
    verb, arguments = words[0], words[1:]
    if verb in _UNIT_ACTIONS:
        return _on_units(_UNIT_ACTIONS[verb], arguments, screen)
    if verb in _TABS:
        return _show(_TABS[verb], arguments, screen)
    handler = _HANDLERS.get(verb)
    return handler(arguments, screen) if handler is not None else f"no such command: {verb}"


def _complete(name: str) -> str:
    return name if "." in name.rpartition("@")[2] else f"{name}.service"


def _rows(name: str, screen: "MainScreen") -> tuple[UnitRow, ...]:
    units = screen.store.units
    return units.rows_of(name) or units.rows_of(_complete(name))


def _on_units(action_id: str, names: Sequence[str], screen: "MainScreen") -> Problem:
    if not names:
        if action_id == "logs.focus":
            screen.console.show_all_logs()
            return ""
        return "which unit?"
    units: list[UnitFocus] = []
    for name in names:
        rows = _rows(name, screen)
        if not rows:
            return f"no unit {name}"
        row = rows[0]
        units.append(
            UnitFocus(
                name=row.unit,
                target=row.target.value,
                active=row.active,
                machine=row.machine,
                is_global=row.is_global,
                is_template=row.is_template,
            )
        )
    context = screen.unit_context(units)
    screen.choose(action_id, context)
    return ""


def _show(tab: str, names: Sequence[str], screen: "MainScreen") -> Problem:
    if len(names) != 1:
        return "which unit?"
    rows = _rows(names[0], screen)
    if not rows:
        return f"no unit {names[0]}"
    screen.show_unit(rows[0].key)
    screen.console.open_detail(tab)
    return ""


def _set(arguments: Sequence[str], screen: "MainScreen") -> Problem:
    if len(arguments) != 2:
        return "set KEY VALUE"
    path = _key(arguments[0])
    if path.startswith("/c101/"):
        return "keys under /c101/ are the cluster's own: change units instead"
    screen.operator.put(path, arguments[1])
    return ""


def _remove(arguments: Sequence[str], screen: "MainScreen") -> Problem:
    if len(arguments) != 1:
        return "rm KEY"
    return _get(arguments, screen) or _chosen("keys.delete", screen)


def _get(arguments: Sequence[str], screen: "MainScreen") -> Problem:
    if len(arguments) != 1:
        return "get KEY"
    path = _key(arguments[0])
    screen.console.focus_pane("keys")
    return "" if screen.keys_pane.show_path(path) else f"no key {path}"


def _chosen(action_id: str, screen: "MainScreen") -> Problem:
    screen.choose(action_id)
    return ""


def _key(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _power(arguments: Sequence[str], screen: "MainScreen") -> Problem:
    if len(arguments) != 2 or arguments[1] not in {"on", "off"}:
        return "power MACHINE on|off"
    row = _machine(arguments[0], screen)
    if row is None:
        return f"no machine {arguments[0]}"
    focus = MachineFocus(id=row.id, name=row.name, lost=arguments[1] == "on")
    screen.choose("machines.power", screen.machine_context(focus))
    return ""


def _machine(name: str, screen: "MainScreen") -> MachineRow | None:
    rows = screen.store.machines.list.rows.values()
    return next((row for row in rows if row.name == name or row.id.startswith(name)), None)


def _pane(name: str) -> Callable[[Sequence[str], "MainScreen"], Problem]:
    def handler(arguments: Sequence[str], screen: "MainScreen") -> Problem:
        screen.console.focus_pane(name)
        screen.panes[name].set_filter(" ".join(arguments))
        return ""

    return handler


def _action(action_id: str) -> Callable[[Sequence[str], "MainScreen"], Problem]:
    return lambda _, screen: _chosen(action_id, screen)


_HANDLERS: Mapping[str, Callable[[Sequence[str], "MainScreen"], Problem]] = {
    "set": _set,
    "get": _get,
    "ls": _get,
    "rm": _remove,
    "power": _power,
    "units": _pane("units"),
    "list-units": _pane("units"),
    "machines": _pane("machines"),
    "list-machines": _pane("machines"),
    "keys": _pane("keys"),
    "theme": _action("view.theme"),
    "log": _action("view.commands"),
    "help": _action("view.help"),
    "q": _action("app.quit"),
    "quit": _action("app.quit"),
    "q!": _action("app.leave"),
}
