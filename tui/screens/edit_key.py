"""Write a key: its name where it is new, its value, and who was faster if somebody was."""

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, TextArea

from c101.tui.render.cells import Cell
from c101.tui.screens.dialog import Box, Dialog, title
from c101.tui.widgets.cell_lines import CellLines


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDraft:
    """A key as somebody wants it. ``revision`` is the one they saw, 0 for a new key."""

    path: str
    text: str
    revision: int
    is_new: bool = False
    problem: str = ""


class EditKeyScreen(Dialog[KeyDraft]):
    """A value under edit; its result is the draft to be written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+o,f2", "save", "Save", show=False, priority=True),
    ]

    def __init__(self, draft: KeyDraft) -> None:
        super().__init__()
        self._draft = draft
        self._path = Input(draft.path, placeholder="/path/of/the/key", select_on_focus=False)
        self._path.cursor_blink = False
        self._value = TextArea(draft.text, soft_wrap=True)
        self._value.cursor_blink = False
        self._hint = CellLines(classes="hint")
        self._hint.can_focus = False

    def compose(self) -> ComposeResult:
        """Lay out the window."""
        draft = self._draft
        words = "New key" if draft.is_new else f"Value of {draft.path}"
        with Box(classes="edit"):
            yield title(words, "" if draft.is_new else f"rev {draft.revision}")
            if draft.is_new:
                yield self._path
            yield self._value
            yield self._hint

    def on_mount(self) -> None:
        """Say how to save, and what went wrong last time."""
        self._show(self._draft.problem)
        (self._path if self._draft.is_new else self._value).focus()

    def _show(self, problem: str) -> None:
        keys = (
            Cell(" ^o", "accent"),
            Cell(" save  ", "muted"),
            Cell("esc", "accent"),
            Cell(" leave it as it was", "muted"),
        )
        self._hint.set_lines([keys, (Cell(f" {problem}", "bad"),) if problem else ()])

    def on_input_submitted(self) -> None:
        """Go on to the value."""
        self._value.focus()

    def action_save(self) -> None:
        """Hand the draft back to be written."""
        path = self._path.value.strip() if self._draft.is_new else self._draft.path
        if not path.startswith("/") or path.endswith("/"):
            self._show("a key begins with / and does not end with it")
            return
        self.dismiss(
            KeyDraft(
                path=path,
                text=self._value.text,
                revision=self._draft.revision,
                is_new=self._draft.is_new,
            )
        )
