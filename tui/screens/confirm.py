"""Are you sure? Names everything that would be hit, and the command that does the same."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from c101.tui.render.cells import Cell
from c101.tui.screens.dialog import Box, Dialog, title
from c101.tui.widgets.cell_lines import CellLines

#: Names listed one by one; there is a count for the rest.
NAMES_MAX = 8


class ConfirmScreen(Dialog[bool]):
    """Asks; enter is "no" unless the user went to "yes"."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", show=False),
        Binding("n,q", "answer(False)", "No", show=False),
        Binding("left,right,tab,h,l", "switch", "Switch", show=False),
        Binding("enter", "take", "Take", show=False),
    ]

    def __init__(self, question: str, names: Sequence[str], command: str = "") -> None:
        super().__init__()
        self._question = question
        self._names = names
        self._command = command
        self._yes = False
        self._lines = CellLines()
        self._lines.can_focus = False

    def compose(self) -> ComposeResult:
        """Lay out the window."""
        with Box(classes="confirm"):
            yield title(self._question)
            yield self._lines

    def on_mount(self) -> None:
        """Begin with no."""
        self._write()

    def _write(self) -> None:
        lines: list[tuple[Cell, ...]] = [()]
        lines += [(Cell(f"   {name}"),) for name in self._names[:NAMES_MAX]]
        more = len(self._names) - NAMES_MAX
        if more > 0:
            lines.append((Cell(f"   and {more} more", "muted"),))
        if self._command:
            lines += [(), (Cell("   $ ", "muted"), Cell(self._command, "muted"))]
        lines += [(), self._answers()]
        self._lines.set_lines(lines)
        self._lines.styles.height = len(lines)

    def _answers(self) -> tuple[Cell, ...]:
        no, yes = ("  ", "▌ ") if self._yes else ("▌ ", "  ")
        return (
            Cell(f"  {no}", "accent"),
            Cell("n", "accent"),
            Cell(" no", "" if self._yes else "strong"),
            Cell(f"     {yes}", "accent"),
            Cell("y", "accent"),
            Cell(" yes", "strong" if self._yes else ""),
        )

    def action_switch(self) -> None:
        """Go to the other answer."""
        self._yes = not self._yes
        self._write()

    def action_take(self) -> None:
        """Take the answer that is chosen."""
        self.dismiss(self._yes)

    def action_answer(self, answer: bool) -> None:  # noqa: FBT001 - the answer itself
        """Take an answer."""
        self.dismiss(answer)
