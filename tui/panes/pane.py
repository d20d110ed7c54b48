"""What every pane is: a number, a title line, a body, a filter, and how fresh it all is."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input

from c101.core.clock import Clock
from c101.tui.messages import FocusChanged
from c101.tui.panes.title_line import TitleLine
from c101.tui.render import titles
from c101.tui.render.cells import Cell
from c101.tui.store import filter as filters
from c101.tui.store.console_store import ConsoleStore
from c101.tui.store.filter import Filter, FilterError
from c101.tui.store.pane_status import Freshness
from c101.tui.widgets.line_view import LineView


class FilterInput(Input):
    """The line a filter is typed into; every letter filters at once."""

    def on_mount(self) -> None:
        """Be still: a blinking cursor repaints for nothing."""
        self.cursor_blink = False


class Pane(Vertical):
    """A pane. A subclass names it, gives it a body, and says what the store has for it."""

    NAME: ClassVar[str]
    NUMBER: ClassVar[int]
    TITLE: ClassVar[str]
    EMPTY: ClassVar[str] = "nothing here yet"

    can_focus = False

    def __init__(self, store: ConsoleStore, clock: Clock) -> None:
        super().__init__(id=f"pane-{self.NAME}", classes="pane")
        self.store = store
        self.clock = clock
        self.chosen_filter: Filter = filters.EVERYTHING
        self.filter_error = ""
        self.title_line = TitleLine()
        self.filter_input = FilterInput(
            placeholder="filter: words  !not  /regex/  ~fuzzy  field:value",
            classes="filter",
            select_on_focus=False,
        )

    def compose(self) -> ComposeResult:
        """Lay out the title, the body, and the filter beneath."""
        yield self.title_line
        yield from self.compose_body()
        yield self.filter_input

    def on_mount(self) -> None:
        """Start without a filter, and with what the store has."""
        self.filter_input.display = False
        self.refresh_from_store(None)

    # What a subclass answers.

    def compose_body(self) -> ComposeResult:
        """Yield the widgets under the title."""
        raise AssertionError("a pane has a body")

    @property
    def body(self) -> LineView:
        """The widget that has the focus when the pane has."""
        raise AssertionError("a pane has a body")

    def rows_changed(self, keys: frozenset[str] | None) -> None:
        """Show what is new in the store about these rows, or all."""

    def filter_changed(self) -> None:
        """Show only what ``chosen_filter`` lets through."""

    def tick(self) -> None:
        """A second has passed: repaint what says how old something is."""

    def context(self) -> Mapping[str, Any]:
        """Return what an action may know of what is focused here: fields of ``Context``."""
        return {}

    def count(self) -> tuple[int, int]:
        """Return how many rows there are, and how many of them are shown."""
        return 0, 0

    def middle(self) -> Iterable[Cell]:
        """Return what the title says after the count."""
        return ()

    def aside(self) -> Iterable[Cell]:
        """Return what the title says at its right end, where all is well."""
        return ()

    def summary(self) -> Iterable[Cell]:
        """Return the pane in one line, for where there is no room for more."""
        return ()

    # What all have in common.

    @property
    def collapsed(self) -> bool:
        """Whether only the title line is to be seen."""
        return self.has_class("-summary")

    def refresh_from_store(self, keys: frozenset[str] | None) -> None:
        """Show what is new."""
        self.rows_changed(keys)
        status = self.store.status(self.NAME)
        self._show_state()
        self.set_class(status.stale, "-stale")
        self.refresh_title()

    def _show_state(self) -> None:
        status = self.store.status(self.NAME)
        rows, shown = self.count()
        if status.freshness is Freshness.STARTING:
            self.body.set_state("loading", self.store.progress or "waiting for the first answer…")
        elif status.freshness is Freshness.FAILED and not rows:
            self.body.set_state("error", status.message)
        elif rows and not shown:
            self.body.set_state("empty", f"nothing matches {self.chosen_filter.text!r} (esc)")
        else:
            self.body.set_state("empty", self.EMPTY)

    def refresh_title(self) -> None:
        """Write the title line anew."""
        rows, shown = self.count()
        left = titles.left(self.NUMBER, self.TITLE, rows, shown)
        middle = list(self.summary() if self.collapsed else self.middle())
        words = self.filter_error or self.chosen_filter.text
        middle += titles.filter_words(words, failed=bool(self.filter_error))
        status = self.store.status(self.NAME)
        aside = () if self.collapsed else self.aside()
        right = titles.freshness(status, self.clock.time()) or list(aside)
        focused = self.has_class("-focused")
        self.title_line.show(left, middle, right, focused=focused)

    def focus_body(self) -> None:
        """Give the keyboard to this pane, at once: the next key may be there already."""
        self.screen.set_focus(self.body)

    def on_descendant_focus(self) -> None:
        """Tell that this pane has the focus now."""
        self.post_message(FocusChanged())

    # The filter.

    def open_filter(self) -> None:
        """Let a filter be typed."""
        self.filter_input.display = True
        self.filter_input.value = self.chosen_filter.text
        self.screen.set_focus(self.filter_input)

    def clear_filter(self) -> bool:
        """Show everything again; say whether there was anything to clear."""
        had = self.filter_input.display or bool(self.chosen_filter) or bool(self.filter_error)
        held_focus = self.filter_input.has_focus
        self.filter_input.display = False
        self.set_filter("")
        if held_focus:
            self.focus_body()
        return had

    def set_filter(self, text: str) -> None:
        """Filter by *text*; one that is not understood changes nothing and says so."""
        try:
            self.chosen_filter = filters.parse(text)
        except FilterError as exc:
            self.filter_error, self.chosen_filter = str(exc), Filter(text)
        else:
            self.filter_error = ""
        self.filter_changed()
        self._show_state()
        self.refresh_title()

    @on(Input.Changed)
    def _filter_typed(self, event: Input.Changed) -> None:
        event.stop()
        if self.filter_input.display:
            self.set_filter(event.value)

    @on(Input.Submitted)
    def _filter_accepted(self, event: Input.Submitted) -> None:
        event.stop()
        self.filter_input.display = False
        self.focus_body()
