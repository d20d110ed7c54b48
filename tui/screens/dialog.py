"""What every window over the main screen is: a box with a title, closed by escape."""

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from c101.tui.panes.title_line import TitleLine
from c101.tui.render.cells import Cell

R = TypeVar("R")


class Dialog(ModalScreen[R]):
    """A window that takes every key until it is closed. Its result is ``None`` when it is left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close", show=False),
        Binding("ctrl+q", "app.leave", "Quit", show=False, priority=True),
    ]

    def action_leave(self) -> None:
        """Close it without a result."""
        self.dismiss(None)


def title(text: str, right: str = "") -> TitleLine:
    """Return the title line of a dialog."""
    line = TitleLine()
    aside: Sequence[Cell] = [Cell(f"{right} ", "muted")] if right else []
    line.show([Cell(f" {text}", "strong")], [], aside, focused=True)
    return line


class Box(Vertical):
    """The window itself."""
