"""What an action is, and what it may know and ask when it is chosen."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

UNITS, MACHINES, KEYS, JOURNAL = "units", "machines", "keys", "journal"
PANES = (UNITS, MACHINES, KEYS, JOURNAL)
ANYWHERE = ("global",)


class Danger(Enum):
    """What an action can cost, and so when it asks first."""

    NONE = "none"
    CHANGES = "changes"  # asks where it hits more than one thing
    ENDS = "ends"  # asks always


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFocus:
    """A unit an action would hit."""

    name: str
    target: str = "inactive"
    active: str = ""
    machine: str = ""
    is_global: bool = False
    is_template: bool = False
    explained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFocus:
    """The focused machine."""

    id: str
    name: str
    lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFocus:
    """The focused place in the tree of keys. ``exists`` is false for a mere directory."""

    path: str
    exists: bool
    protected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is focused, and what the console can reach: all a predicate may ask."""

    pane: str
    connected: bool = True
    units: tuple[UnitFocus, ...] = ()
    machine: MachineFocus | None = None
    key: KeyFocus | None = None
    marked: int = 0
    can_power: bool = False


class Console(Protocol):
    """What the table's rows may ask of the running console."""

    def focus_pane(self, pane: str) -> None: ...  # noqa: D102
    def step_pane(self, step: int) -> None: ...  # noqa: D102
    def toggle_zoom(self) -> None: ...  # noqa: D102
    def open_filter(self) -> None: ...  # noqa: D102
    def go_back(self) -> None: ...  # noqa: D102
    def open_command_line(self) -> None: ...  # noqa: D102
    def open_palette(self) -> None: ...  # noqa: D102
    def open_menu(self) -> None: ...  # noqa: D102
    def open_command_log(self) -> None: ...  # noqa: D102
    def open_help(self) -> None: ...  # noqa: D102
    def switch_theme(self) -> None: ...  # noqa: D102
    def quit(self) -> None: ...  # noqa: D102
    def leave(self) -> None: ...  # noqa: D102
    def open_detail(self, tab: str) -> None: ...  # noqa: D102
    def start_units(self, context: Context) -> None: ...  # noqa: D102
    def stop_units(self, context: Context) -> None: ...  # noqa: D102
    def restart_units(self, context: Context) -> None: ...  # noqa: D102
    def unload_units(self, context: Context) -> None: ...  # noqa: D102
    def destroy_units(self, context: Context) -> None: ...  # noqa: D102
    def show_logs(self, context: Context) -> None: ...  # noqa: D102
    def show_all_logs(self) -> None: ...  # noqa: D102
    def toggle_follow(self) -> None: ...  # noqa: D102
    def toggle_mark(self) -> None: ...  # noqa: D102
    def clear_marks(self) -> None: ...  # noqa: D102
    def sort_next(self) -> None: ...  # noqa: D102
    def show_machine_units(self, context: Context) -> None: ...  # noqa: D102
    def toggle_power(self, context: Context) -> None: ...  # noqa: D102
    def edit_key(self, context: Context) -> None: ...  # noqa: D102
    def new_key(self, context: Context) -> None: ...  # noqa: D102
    def delete_key(self, context: Context) -> None: ...  # noqa: D102


Reason = str | None


def _always(_: Context) -> Reason:
    return None


def _no_command(_: Context) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing a user can do.

    ``refuse`` says why it cannot be done now, ``None`` when it can. ``command`` is what does the
    same from a shell, "" where nothing does. ``short`` is the footer's word, "" keeps it out of the
    footer. ``rank`` orders the footer, the lowest first.
    """

    id: str
    title: str
    keys: tuple[str, ...]
    handler: Callable[[Console, Context], None]
    scopes: tuple[str, ...] = ANYWHERE
    short: str = ""
    rank: int = 50
    refuse: Callable[[Context], Reason] = _always
    danger: Danger = Danger.NONE
    command: Callable[[Context], str] = _no_command

    @property
    def group(self) -> str:
        """Where help lists it."""
        return self.scopes[0]


def needs_confirmation(action: Action, context: Context) -> bool:
    """Say whether *action* asks before it is done on what *context* focuses."""
    if action.danger is Danger.NONE:
        return False
    if action.danger is Danger.ENDS or len(context.units) > 1:
        return True
    return any(unit.is_global for unit in context.units)
