"""The virtual table: rows are asked for only when they are painted."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from textual.message import Message

from c101.tui.render.cells import Cell
from c101.tui.widgets.columns import Column
from c101.tui.widgets.row_view import RowView

__all__ = ["Column", "TableModel", "VirtualTable"]


class TableModel(Protocol):
    """What a table shows. Asked often, from the event loop: every answer must be quick.

    After a change the owner tells the table with ``refresh_rows``; until then the table may ask for
    the rows as they were counted last, so rows are replaced between two turns of the loop, never
    during one.
    """

    def __len__(self) -> int:
        """Return how many rows there are."""
        ...

    def key_at(self, i: int) -> str:
        """Return what row *i* is known by: unique, and the same wherever the row goes."""
        ...

    def cells_at(self, i: int) -> Sequence[Cell]:
        """Return the cells of row *i*, one a column, in the order of the columns."""
        ...

    def note_at(self, i: int) -> Cell | None:
        """Return what is to be said under row *i*: why it is as it is; usually nothing."""
        ...


class VirtualTable(RowView):
    """A table of any number of rows; a changed cell costs a line of the screen."""

    class RowMessage(Message):
        """Something about one row of one table."""

        def __init__(self, table: "VirtualTable", key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> "VirtualTable":
            """The table."""
            return self.table

    class RowHighlighted(Message):
        """The cursor is on another row; ``key`` is None when there are no rows."""

        def __init__(self, table: "VirtualTable", key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> "VirtualTable":
            """The table."""
            return self.table

    class RowSelected(RowMessage):
        """A row was chosen by enter or a double click."""

    class HeaderClicked(RowMessage):
        """A column's title was clicked; ``key`` is the column's."""

    # A class attribute, because Textual may ask for a line before __init__ is done.
    _model: TableModel | None = None

    def set_model(self, model: TableModel) -> None:
        """Show *model*'s rows from here on."""
        self._model = model
        self._rows_changed()

    @property
    def model(self) -> TableModel | None:
        """What is shown."""
        return self._model

    def _row_count(self) -> int:
        return 0 if self._model is None else len(self._model)

    def _row_key_at(self, row: int) -> str:
        assert self._model is not None
        return self._model.key_at(row)

    def _cells_at(self, row: int) -> Sequence[Cell]:
        assert self._model is not None
        return self._model.cells_at(row)

    def _note_at(self, row: int) -> Cell | None:
        return None if self._model is None else self._model.note_at(row)

    def _all_notes(self) -> Iterable[tuple[int, Cell]]:
        model = self._model
        if model is None:
            return ()
        notes = ((row, model.note_at(row)) for row in range(len(model)))
        return [(row, note) for row, note in notes if note is not None]

    def _post_highlighted(self, key: str | None) -> None:
        self.post_message(self.RowHighlighted(self, key))

    def _post_selected(self, key: str) -> None:
        self.post_message(self.RowSelected(self, key))

    def _post_header_clicked(self, column_key: str) -> None:
        self.post_message(self.HeaderClicked(self, column_key))
