"""Numbers as a person reads them: short, aligned, one unit at a time."""

from collections.abc import Sequence
from typing import Final

from c101.core.model.host import TimerRuns
from c101.tui.render.width import head, tail, text_width

#: What stands for a value that is not known.
UNKNOWN: Final = "\N{EN DASH}"

_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
_BARS: Final = "▁▂▃▄▅▆▇█"
_SIZES: Final = ("B", "K", "M", "G", "T", "P", "E")


def age(seconds: float | None) -> str:
    """Return a time span in its one largest unit: ``12s 4m 3h 2d``; nothing is negative."""
    if seconds is None:
        return UNKNOWN
    whole = max(0, int(seconds))
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 2 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    return f"{whole // _DAY}d"


def elapses(runs: TimerRuns, now: float) -> tuple[str, str]:
    """Return when a timer elapses next and did last: ``in 3h``, ``2m ago``, or ``never``."""
    following = "never" if runs.next is None else f"in {age(runs.next - now)}"
    last = "never" if runs.last is None else f"{age(now - runs.last)} ago"
    return following, last


def size(count_bytes: float | None) -> str:
    """Return bytes in three figures at the most: ``812B 1.4K 31M 2.0G`` (1K is 1024 bytes)."""
    if count_bytes is None:
        return UNKNOWN
    value = max(0.0, float(count_bytes))
    if value < 1024:
        return f"{int(value)}B"
    for unit in _SIZES[1:]:
        value /= 1024
        # 9.96 must not become "10.0", nor 1023.7 "1024".
        if value < 9.95:
            return f"{value:.1f}{unit}"
        if value < 1023.5:
            return f"{value:.0f}{unit}"
    return f"{value:.0f}{_SIZES[-1]}"


def count(number: int | None) -> str:
    """Return a count with its thousands apart: ``1 482``."""
    return UNKNOWN if number is None else f"{number:,}".replace(",", " ")


def percent(fraction: float | None) -> str:
    """Return a share of one as whole per cent: ``7%``; more than none is never ``0%``."""
    if fraction is None:
        return UNKNOWN
    if 0 < fraction < 0.01:
        return "<1%"
    return f"{round(fraction * 100)}%"


def milliseconds(seconds: float | None) -> str:
    """Return a short delay: ``4ms 120ms 1.2s``."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0.9995:
        return f"{max(0, round(seconds * 1000))}ms"
    return f"{seconds:.1f}s"


def cut_middle(text: str, width: int) -> str:
    """Return *text* in *width* cells, its middle left out: both ends tell names apart.

    >>> cut_middle("web-frontend@12.service", 14)
    'web-fro…ervice'
    """
    if text_width(text) <= width:
        return text
    if width <= 1:
        return "…"[: max(0, width)]
    right = (width - 1) // 2
    return head(text, width - 1 - right) + "…" + tail(text, right)


def cut_end(text: str, width: int) -> str:
    """Return *text* in *width* cells, its end left out."""
    if text_width(text) <= width:
        return text
    return head(text, width - 1) + "…" if width > 0 else ""


def spark(values: Sequence[float], width: int, *, top: float | None = None) -> str:
    """Return the last *width* of *values* as bars, oldest first, padded on the left.

    A bar is a share of *top*, or of the largest value shown. Nothing at all is the lowest bar; the
    smallest something is a bar higher, so that a quiet line and a dead one differ.
    """
    shown = list(values[-width:]) if width > 0 else []
    peak = max(shown, default=0.0) if top is None else top
    bars = (_bar(value, peak) for value in shown)
    return "".join(bars).rjust(max(0, width))


def _bar(value: float, peak: float) -> str:
    if value <= 0 or peak <= 0:
        return _BARS[0]
    steps = len(_BARS) - 1
    return _BARS[max(1, min(steps, round(value / peak * steps)))]
