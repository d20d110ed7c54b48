"""What all our line widgets share: meanings to colours, a state to show when there are no lines."""

from typing import ClassVar, Final, Literal

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from c101.tui.render.cells import Meaning
from c101.tui.render.sanitise import sanitise
from c101.tui.render.width import text_width
from c101.tui.render.wrap import wrap

#: What a widget is, while it has no lines: filling, rightly without any, or unable to tell.
State = Literal["ready", "loading", "empty", "error"]

_STATE_GLYPHS: Final[dict[State, tuple[str, Meaning]]] = {
    "ready": ("", "muted"),
    "loading": ("◐", "busy"),
    "empty": ("○", "muted"),
    "error": ("✖", "bad"),
}

#: The most lines that the text of a state takes.
STATE_LINES_MAX: Final = 6

_MEANINGS: Final = ("good", "busy", "warn", "bad", "dim", "muted", "accent", "strong")
_OVERLAYS: Final = (
    "header",
    "note",
    "cursor",
    "cursor-blurred",
    "flash",
    "flash-fading",
    "match",
    "stale",
    "badge",
)


def printable(text: str) -> str:
    """Return *text* as it is if it is safe to paint, sanitised if someone forgot to."""
    return text if text.isprintable() else sanitise(text)


class LineView(ScrollView, can_focus=True):
    """A widget that paints lines on demand; the parent of the table, the tree and the log."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"line--{name}" for name in (*_MEANINGS, *_OVERLAYS)}

    # $success, $primary, $warning and $error are read as the meanings good, busy, warn and bad:
    # any Textual theme gives usable colours, ours gives the right ones. What is broken is bold too,
    # for its colour is the darkest where there are only greys. A terminal's own sixteen colours
    # have no shades for the rest.
    DEFAULT_CSS = """
    LineView {
        width: 1fr;
        height: 1fr;
        background: $background;
        color: $foreground;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        scrollbar-size-horizontal: 0;
        & > .line--good { color: $success; }
        & > .line--busy { color: $primary; }
        & > .line--warn { color: $warning; }
        & > .line--bad { color: $error; text-style: bold; }
        & > .line--dim { color: $text-disabled; }
        & > .line--muted { color: $text-muted; }
        & > .line--accent { color: $accent; }
        & > .line--strong { text-style: bold; }
        & > .line--header { color: $text-muted; }
        & > .line--note { color: $text-muted; }
        & > .line--cursor { background: $block-cursor-blurred-background; }
        & > .line--cursor-blurred { background: $surface; }
        & > .line--flash { background: $foreground 18%; }
        & > .line--flash-fading { background: $foreground 8%; }
        & > .line--match { text-style: underline; color: $accent; }
        & > .line--stale { color: $text-disabled; }
        & > .line--badge { color: $background; background: $accent; }
        &:ansi {
            & > .line--dim { text-style: dim; }
            & > .line--muted { text-style: dim; }
            & > .line--note { text-style: none; }
            & > .line--stale { text-style: dim; }
            & > .line--cursor { text-style: reverse; }
            & > .line--flash { text-style: reverse; }
            & > .line--flash-fading { text-style: bold; }
            & > .line--badge { text-style: reverse; }
        }
    }
    """

    # Class attributes, because Textual may ask for a line before __init__ of a subclass is done.
    _style_cache: dict[tuple[str, ...], Style] | None = None
    _state: State = "ready"
    _state_text: str = ""
    _width: int = 0
    _height: int = 0

    def on_resize(self) -> None:
        """Take the new size."""
        self._measure()

    def _measure(self) -> None:
        """Note how much room there is beside the scrollbar, which always has its own."""
        outer, gutter = self.outer_size, self.gutter
        room = max(0, outer.width - gutter.width), max(0, outer.height - gutter.height)
        if room != (self._width, self._height):
            self._width, self._height = room
            self.refresh()

    def _set_row_total(self, rows: int) -> None:
        """Say how many rows there are to scroll through.

        While the scrollbar stays, the screen's layout need not be asked, which costs more than
        painting every line in sight: a log grows thirty times a second.
        """
        size = Size(self._width, rows)
        if not (self.show_vertical_scrollbar and rows > self.container_size.height):
            self.virtual_size = size
            return
        self.set_reactive(ScrollView.virtual_size, size)
        self.vertical_scrollbar.window_virtual_size = rows
        self.scroll_y = self.validate_scroll_y(self.scroll_y)

    def watch_show_vertical_scrollbar(self, shown: bool) -> None:  # noqa: FBT001 - Textual's
        """Let a scrollbar that appears stand where the rows already are."""
        if shown:
            self.vertical_scrollbar.position = self.scroll_y

    def _scroll_to_row(self, row: int) -> None:
        """Bring *row* to the top, as far as there are rows to fill the rest."""
        # Forced: the scrollbar, and with it the leave to scroll, may be a layout away.
        target = max(0, min(row, self.max_scroll_y))
        self.scroll_to(y=target, animate=False, force=True, immediate=True)

    def set_state(self, state: State, text: str = "") -> None:
        """Say why there are no lines; shown only while there are none.

        *text* is a sentence for a person: what is loading, that there is nothing and how to get
        something, or what failed and what to do.
        """
        if (state, text) != (self._state, self._state_text):
            self._state, self._state_text = state, text
            self.refresh()

    @property
    def state(self) -> State:
        """What ``set_state`` said last."""
        return self._state

    def notify_style_update(self) -> None:
        """Forget the colours: the theme or the focus has changed."""
        super().notify_style_update()
        self._style_cache = None

    def style_of(self, *names: str) -> Style:
        """Return the style of the given component names, later ones over earlier ones."""
        cache = self._style_cache
        if cache is None:
            cache = self._style_cache = {}
        style = cache.get(names)
        if style is None:
            style = cache[names] = sum(
                (self._own_style(name) for name in names if name), self.rich_style
            )
        return style

    def _own_style(self, name: str) -> Style:
        """Return only what the rules of one component class set, colours resolved."""
        component = f"line--{name}"
        rules = self.get_component_styles(component)
        resolved = self.get_component_rich_style(component)
        coloured = rules.has_rule("color") or rules.has_rule("auto_color")
        return (
            Style(
                color=resolved.color if coloured else None,
                bgcolor=resolved.bgcolor if rules.has_rule("background") else None,
            )
            + rules.text_style
        )

    def _blank_line(self) -> Strip:
        return Strip.blank(self._width, self.style_of())

    def _state_line(self, y: int, height: int) -> Strip:
        """Paint line *y* of *height* lines that say the state."""
        width = self._width
        if not self._state_text or width < 3:
            return self._blank_line()
        glyph, meaning = _STATE_GLYPHS[self._state]
        room = max(1, width - 6)
        lines = wrap(printable(f"{glyph} {self._state_text}".strip()), room, STATE_LINES_MAX)
        at = y - max(0, (height - len(lines)) // 3)
        if not 0 <= at < len(lines):
            return self._blank_line()
        # A text of one line stands in the middle, a longer one is read from the left.
        used = max(map(text_width, lines))
        left = max(0, (width - used) // 2)
        style = self.style_of("bad" if self._state == "error" else "muted")
        segments = [Segment(" " * left, self.style_of())]
        if at == 0 and glyph:
            segments.append(Segment(glyph, self.style_of(meaning)))
            segments.append(Segment(lines[0][len(glyph) :], style))
        else:
            segments.append(Segment(lines[at], style))
        return Strip(segments, left + text_width(lines[at])).adjust_cell_length(
            width, self.style_of()
        )
