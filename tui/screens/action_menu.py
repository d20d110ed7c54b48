"""Everything that can be done on what is focused, and why the rest cannot."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from c101.tui.actions.action import Action, Context
from c101.tui.render import guide
from c101.tui.render.cells import Cell
from c101.tui.screens.dialog import Box, Dialog, title
from c101.tui.widgets.table import Column, VirtualTable

COLUMNS = (
    Column("keys", "", 7, align="right", priority=2),
    Column("title", "", None, min_width=20, max_width=38, priority=3),
    Column("reason", "", None, min_width=10, priority=1, cut="end"),
)


class _Rows:
    def __init__(self, actions: Sequence[Action], context: Context) -> None:
        self._actions = actions
        self._context = context

    def __len__(self) -> int:
        return len(self._actions)

    def key_at(self, i: int) -> str:
        return self._actions[i].id

    def cells_at(self, i: int) -> Sequence[Cell]:
        return guide.menu_row(self._actions[i], self._context)

    def note_at(self, i: int) -> Cell | None:  # noqa: ARG002 - the reason has a column
        return None


class ActionMenu(Dialog[str]):
    """A list of actions; its result is the id of the one chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "leave", "Close", show=False)]

    def __init__(self, actions: Sequence[Action], context: Context, about: str) -> None:
        super().__init__()
        self._actions = actions
        self._about = about
        self._table = VirtualTable(COLUMNS, header=False)
        self._table.set_model(_Rows(actions, context))

    def compose(self) -> ComposeResult:
        """Lay out the window."""
        with Box(classes="menu"):
            yield title(self._about, "esc closes")
            yield self._table

    def on_mount(self) -> None:
        """Take the keyboard."""
        self._table.styles.height = min(len(self._actions), 24)
        self._table.focus()

    def on_key(self, event: events.Key) -> None:
        """Choose an action by its own key."""
        for action in self._actions:
            if event.key in action.keys and event.key not in {"escape", "enter", "space"}:
                event.stop()
                self.dismiss(action.id)
                return

    @on(VirtualTable.RowSelected)
    def _chosen(self, event: VirtualTable.RowSelected) -> None:
        event.stop()
        self.dismiss(event.key)
