"""A list of rows as a pane shows it: filtered, sorted, marked; it knows what changed."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from c101.tui.store.filter import EVERYTHING, Filter


class Row(Protocol):
    """What a list must know of its rows."""

    @property
    def key(self) -> str:
        """The row's name, one of its kind."""
        ...

    @property
    def text(self) -> str:
        """Everything about it that a filter's plain words look at."""
        ...

    @property
    def fields(self) -> Mapping[str, str]:
        """What a filter's ``field:`` words look at."""
        ...


R = TypeVar("R", bound=Row)
SortKey = Callable[[R], tuple[Hashable, ...]]


@dataclass(frozen=True, slots=True)
class Delta:
    """What a change touched: these rows; and whether any came, went or moved."""

    keys: frozenset[str] = frozenset()
    reordered: bool = False

    def __bool__(self) -> bool:
        """Say whether anything changed."""
        return bool(self.keys) or self.reordered


@dataclass(slots=True)
class RowsModel(Generic[R]):
    """Rows by key, and the order they are seen in.

    ``orders`` names the sort orders, the first one in force until another is chosen. Rows with
    equal sort keys stay in the order of their keys, so that nothing dances.
    """

    orders: Mapping[str, SortKey[R]]
    rows: dict[str, R] = field(default_factory=dict)
    view: list[str] = field(default_factory=list)
    filter: Filter = EVERYTHING
    marks: set[str] = field(default_factory=set)
    order: str = ""
    descending: bool = False

    def __post_init__(self) -> None:
        self.order = self.order or next(iter(self.orders))

    def __len__(self) -> int:
        return len(self.view)

    def at(self, index: int) -> R:
        """Return the row seen at *index*."""
        return self.rows[self.view[index]]

    def apply(self, changed: Iterable[R], removed: Iterable[str] = ()) -> Delta:
        """Take in rows that are new or different, and forget others. Equal rows are no change."""
        touched: set[str] = set()
        for row in changed:
            if self.rows.get(row.key) != row:
                self.rows[row.key] = row
                touched.add(row.key)
        for key in removed:
            if self.rows.pop(key, None) is not None:
                self.marks.discard(key)
                touched.add(key)
        if not touched:
            return Delta()
        return Delta(frozenset(touched), self._rebuild())

    def set_filter(self, chosen: Filter) -> None:
        """Show only what *chosen* lets through."""
        self.filter = chosen
        self._rebuild()

    def sort_by(self, order: str) -> None:
        """Sort by one of ``orders``; by the same one again turns it around."""
        if order not in self.orders:
            return
        self.descending = order == self.order and not self.descending
        self.order = order
        self._rebuild()

    def toggle_mark(self, key: str) -> None:
        """Mark a row, or unmark it."""
        if key in self.rows:
            self.marks ^= {key}

    def chosen(self, focused: str | None) -> list[R]:
        """Return what a verb hits: the marked rows in the order seen, else the focused one.

        A mark that the filter hides counts: it was set by hand, and the confirmation names it.
        """
        if self.marks:
            shown = [key for key in self.view if key in self.marks]
            hidden = sorted(self.marks.difference(shown))
            return [self.rows[key] for key in (*shown, *hidden)]
        return [self.rows[focused]] if focused in self.rows else []

    def _rebuild(self) -> bool:
        shown = (row for row in self.rows.values() if self.filter.matches(row.text, row.fields))
        ordered = sorted(sorted(shown, key=_key), key=self.orders[self.order])
        if self.descending:
            ordered.reverse()
        view = [row.key for row in ordered]
        moved = view != self.view
        self.view = view
        return moved


def _key(row: Row) -> str:
    return row.key
