"""Small charts as SVG: two lines a panel, both axes logarithmic, legible on light and dark."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

#: Of one panel, and of what is around its plot, in pixels.
WIDTH, HEIGHT = 300, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 34, 26, 34
COLUMNS = 3

# The colours are told apart by those who see no red or green, too; shape and name say it again.
_STYLE = """
text { font: 11px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.axis { fill: #59636e; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.line { fill: none; stroke-width: 2; }
.ours { stroke: #0550ae; } .ours-mark, .ours-name { fill: #0550ae; }
.etcd { stroke: #bc4c00; } .etcd-mark, .etcd-name { fill: #bc4c00; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; } .axis { fill: #9198a1; } .grid { stroke: #3d444d; }
  .ours { stroke: #58a6ff; } .ours-mark, .ours-name { fill: #58a6ff; }
  .etcd { stroke: #f0883e; } .etcd-mark, .etcd-name { fill: #f0883e; }
}
"""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart: *lines* by the name of a server, each with a point above zero.

    What is not above zero has no place on it and is left out.
    """

    title: str
    across: str
    lines: Mapping[str, Points]


def draw(panels: Sequence[Panel]) -> str:
    """Return *panels* as one SVG, some beside each other."""
    columns = min(COLUMNS, len(panels))
    width, height = WIDTH * columns, HEIGHT * math.ceil(len(panels) / columns)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape('; '.join(panel.title for panel in panels))}</title>",
        f"<style>{_STYLE}</style>",
    ]
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        parts.append(f'<g transform="translate({column * WIDTH} {row * HEIGHT})">')
        parts += _panel(panel)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


class _Scale:
    """From figures to pixels, by their logarithms; whole decades, so that ticks are round."""

    def __init__(self, figures: Sequence[float], low: float, high: float) -> None:
        self.first = math.floor(math.log10(min(figures)))
        # One decade at least: a line that does not grow is a flat one.
        self.last = max(self.first + 1, math.ceil(math.log10(max(figures))))
        self._low, self._high = low, high

    def at(self, figure: float) -> float:
        part = (math.log10(figure) - self.first) / (self.last - self.first)
        return round(self._low + part * (self._high - self._low), 1)

    def ticks(self) -> list[float]:
        return [10.0**exponent for exponent in range(self.first, self.last + 1)]


def _panel(panel: Panel) -> list[str]:
    lines = {name: [(x, y) for x, y in line if y > 0] for name, line in panel.lines.items()}
    points = [point for line in lines.values() for point in line]
    across = _Scale([x for x, _ in points], _LEFT, WIDTH - _RIGHT)
    up = _Scale([y for _, y in points], HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<text class="title" x="{_LEFT}" y="15">{escape(panel.title)}</text>',
        _axis((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 4, "middle", panel.across),
    ]
    for tick in up.ticks():
        y = up.at(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {y}H{WIDTH - _RIGHT}"/>')
        parts.append(_axis(_LEFT - 5, y + 4, "end", _short(tick)))
    parts += [
        _axis(across.at(tick), HEIGHT - _BOTTOM + 14, "middle", _short(tick))
        for tick in across.ticks()
    ]
    ends = _apart({name: up.at(line[-1][1]) for name, line in lines.items()})
    for name, line in lines.items():
        parts += _line(name, [(across.at(x), up.at(y)) for x, y in line], ends[name])
    return parts


def _axis(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text class="axis" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(name: str, pixels: Points, name_y: float) -> list[str]:
    path = "L".join(f"{x:g} {y:g}" for x, y in pixels)
    marks = "".join(_mark(name, x, y) for x, y in pixels)
    return [
        f'<path class="line {name}" d="M{path}"/>{marks}',
        f'<text class="{name}-name" x="{pixels[-1][0] + 6:g}" y="{name_y + 4:g}">{name}</text>',
    ]


def _mark(name: str, x: float, y: float) -> str:
    if name == "ours":
        return f'<circle class="{name}-mark" cx="{x:g}" cy="{y:g}" r="3.5"/>'
    return f'<rect class="{name}-mark" x="{x - 3:g}" y="{y - 3:g}" width="6" height="6"/>'


def _apart(ends: dict[str, float]) -> dict[str, float]:
    """Move names that would lie on each other apart."""
    room = 12.0
    placed: dict[str, float] = {}
    for name, y in sorted(ends.items(), key=lambda end: end[1]):
        above = max(placed.values(), default=-room)
        placed[name] = max(y, above + room)
    return placed


def _short(figure: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if figure >= size:
            return f"{figure / size:g}{unit}"
    return f"{figure:g}"
