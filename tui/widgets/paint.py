"""Text into segments: exactly as wide as asked, matches made to stand out."""

from collections.abc import Iterator
from typing import Literal

from rich.segment import Segment
from rich.style import Style

from c101.tui.render.cells import Align
from c101.tui.render.humanise import cut_end, cut_middle
from c101.tui.render.width import text_width


def fit(text: str, width: int, align: Align, cut: Literal["middle", "end"]) -> str:
    """Return *text* in exactly *width* cells: cut if it is too long, padded if too short."""
    used = text_width(text)
    if used > width:
        text = cut_middle(text, width) if cut == "middle" else cut_end(text, width)
        used = text_width(text)
    air = " " * (width - used)
    return air + text if align == "right" else text + air


def matched(text: str, folded: str, style: Style, match_style: Style) -> Iterator[Segment]:
    """Yield *text* in *style*, every place that holds *folded* (case folded) in *match_style*."""
    haystack = text.casefold()
    if len(haystack) != len(text):  # ß, ﬁ: places would not agree
        haystack = text.lower() if len(text.lower()) == len(text) else text
    start = 0
    while (at := haystack.find(folded, start)) >= 0:
        if at > start:
            yield Segment(text[start:at], style)
        end = at + len(folded)
        yield Segment(text[at:end], match_style)
        start = end
    if start < len(text):
        yield Segment(text[start:], style)
