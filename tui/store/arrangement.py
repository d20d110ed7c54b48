"""What fits on the screen, and so what is shown of the panes."""

from dataclasses import dataclass
from enum import Enum

#: From here on all four panes are seen at once.
WIDE_COLUMNS = 100

#: Below these a console is of no use.
COLUMNS_MIN = 60
ROWS_MIN = 16

#: What stays under the focused pane where only two fit.
COMPANION = "journal"


class Mode(Enum):
    """How much room there is."""

    WIDE = "wide"
    NARROW = "narrow"
    TINY = "tiny"


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The panes shown, those shown as one line, and whether the detail is."""

    mode: Mode
    shown: frozenset[str]
    summaries: frozenset[str] = frozenset()
    detail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user wants to see. ``focused`` is a pane, ``origin`` the one detail is of."""

    focused: str = "units"
    companion: str = "units"
    zoomed: bool = False
    detail: bool = False
    origin: str = "units"


ALL = frozenset({"units", "machines", "keys", "journal"})


def arrange(columns: int, rows: int, wish: Wish) -> Arrangement:
    """Say what is shown on a terminal of *columns* by *rows*.

    ``companion`` is the pane shown above the journal while the journal itself is focused.
    """
    if columns < COLUMNS_MIN or rows < ROWS_MIN:
        return Arrangement(Mode.TINY, frozenset())
    mode = Mode.WIDE if columns >= WIDE_COLUMNS else Mode.NARROW
    if wish.detail:
        if wish.zoomed or mode is Mode.NARROW:
            return Arrangement(mode, frozenset(), detail=True)
        return Arrangement(mode, frozenset({wish.origin, "keys"}), detail=True)
    if wish.zoomed:
        return Arrangement(mode, frozenset({wish.focused}))
    if mode is Mode.WIDE:
        return Arrangement(mode, ALL)
    upper = wish.companion if wish.focused == COMPANION else wish.focused
    shown = frozenset({upper, COMPANION})
    return Arrangement(mode, shown, ALL - shown)
