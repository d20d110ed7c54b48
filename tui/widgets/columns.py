"""Columns: what a row is cut into, and how they share the width there is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from c101.tui.render.cells import Align

#: Cells of air between two columns.
GAP = 1


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    ``width`` is fixed; ``None`` makes the column flexible: ``min_width`` cells and a share of
    what is left over, up to ``max_width``. Where the table is too narrow for all, the column with
    the **lowest** ``priority`` is left out first, of equals the rightmost; one column always stays.
    ``cut`` says where a text that is too long loses its letters.
    """

    key: str
    title: str
    width: int | None = None
    min_width: int = 4
    align: Align = "left"
    priority: int = 0
    cut: Literal["middle", "end"] = "middle"
    max_width: int | None = None

    @property
    def least(self) -> int:
        """The cells that the column cannot do without."""
        return self.min_width if self.width is None else self.width


@dataclass(frozen=True, slots=True)
class Placed:
    """A column where it stands: ``index`` among all columns, ``x`` and ``width`` in cells."""

    column: Column
    index: int
    x: int
    width: int


def layout(columns: Sequence[Column], width: int) -> tuple[Placed, ...]:
    """Place *columns* in *width* cells, leaving out what does not fit."""
    kept = _fitting(columns, width)
    widths = {index: columns[index].least for index in kept}
    if len(kept) == 1:
        widths[kept[0]] = min(widths[kept[0]], max(1, width))
    spare = width - sum(widths.values()) - GAP * (len(kept) - 1)
    _share(columns, widths, max(0, spare))
    placed: list[Placed] = []
    x = 0
    for index in kept:
        placed.append(Placed(columns[index], index, x, widths[index]))
        x += widths[index] + GAP
    return tuple(placed)


def _fitting(columns: Sequence[Column], width: int) -> list[int]:
    kept = list(range(len(columns)))
    while len(kept) > 1:
        if sum(columns[index].least + GAP for index in kept) - GAP <= width:
            break
        kept.remove(min(kept, key=lambda index: (columns[index].priority, -index)))
    return kept


def _share(columns: Sequence[Column], widths: dict[int, int], spare: int) -> None:
    """Hand *spare* cells out to the flexible columns, evenly, each up to its maximum."""
    growing = [index for index in widths if columns[index].width is None]
    while spare and growing:
        share, odd = divmod(spare, len(growing))
        for place, index in enumerate(list(growing)):
            most = columns[index].max_width
            wanted = share + (place < odd)
            grown = wanted if most is None else min(wanted, max(0, most - widths[index]))
            widths[index] += grown
            spare -= grown
            if grown < wanted or not wanted:
                growing.remove(index)
