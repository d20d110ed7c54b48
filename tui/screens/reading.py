"""Windows that are only read: the help and the command log."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from c101.tui.render import commands, guide
from c101.tui.render.cells import Cell
from c101.tui.screens.dialog import Box, Dialog, title
from c101.tui.store.command_log import CommandLog
from c101.tui.widgets.cell_lines import CellLines


class ReadingScreen(Dialog[None]):
    """A window of lines."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "leave", "Close", show=False)]

    def __init__(self, name: str, hint: str) -> None:
        super().__init__()
        self._name_shown = name
        self._hint = hint
        self.lines = CellLines()

    def compose(self) -> ComposeResult:
        """Lay out the window."""
        with Box(classes="reading"):
            yield title(self._name_shown, self._hint)
            yield self.lines

    def on_mount(self) -> None:
        """Take the keyboard."""
        self.lines.focus()

    def on_resize(self) -> None:
        """Write for the width there is."""
        self.call_after_refresh(self.write)

    def write(self) -> None:
        """Write the lines."""
        self.lines.set_lines(self.content(self.lines.size.width))

    def content(self, width: int) -> Sequence[Sequence[Cell]]:  # noqa: ARG002 - for subclasses
        """Return the lines, for *width* cells."""
        return ()


class HelpScreen(ReadingScreen):
    """Every key, by pane: the table of actions."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "leave", "Close", show=False)]

    def __init__(self) -> None:
        super().__init__("Help", "esc closes")

    def content(self, width: int) -> Sequence[Sequence[Cell]]:
        """Return the keys."""
        return guide.pages(width)


class CommandLogScreen(ReadingScreen):
    """Everything done from here, as commands that do the same."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("at", "leave", "Close", show=False)]

    def __init__(self, log: CommandLog, zone: tzinfo | None) -> None:
        super().__init__("Commands", "the same from a shell · esc closes")
        self._log = log
        self._zone = zone
        self.lines.set_state("empty", "nothing was changed from this console yet")

    def content(self, width: int) -> Sequence[Sequence[Cell]]:  # noqa: ARG002 - lines are cut
        """Return the commands."""
        return commands.lines(self._log.entries, self._zone)
