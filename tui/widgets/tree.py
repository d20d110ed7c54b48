"""The virtual tree: directories of keys with columns beside them."""

from collections.abc import Sequence
from typing import ClassVar, Final, Protocol

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from c101.tui.render.cells import Cell
from c101.tui.store.key_tree import KeyTree, Node, parent_of
from c101.tui.widgets.columns import Column
from c101.tui.widgets.row_painter import GUTTER
from c101.tui.widgets.row_view import RowView

__all__ = ["Column", "KeyTree", "Node", "TreeModel", "VirtualTree"]

#: Cells that a level is moved to the right.
INDENT: Final = 2

#: Deeper levels stand where this one does: there must be room for a name.
DEPTH_SHOWN_MAX: Final = 12

_OPEN: Final = "▾ "
_CLOSED: Final = "▸ "
_KEY: Final = "  "

#: Tells a directory's row from that of the key of the same path; no key on screen holds it.
_DIRECTORY_MARK: Final = "\0"


class TreeModel(Protocol):
    """What a tree shows. Every answer must be quick: it is asked for each row painted."""

    @property
    def tree(self) -> KeyTree:
        """The keys, and what is open. The owner changes it, then calls ``refresh_rows()``."""
        ...

    def cells_at(self, node: Node) -> Sequence[Cell]:
        """Return the cells right of the name: one for every column but the first."""
        ...


def _row_key(path: str, *, is_directory: bool) -> str:
    return path + _DIRECTORY_MARK if is_directory else path


class VirtualTree(RowView):
    """A tree of any number of keys; a row costs something only while it is in sight.

    The first column holds the names. Keys of rows (``cursor_key``, ``marks``, ``flash``,
    ``refresh_rows``) are the paths of keys; directories are neither marked nor flashed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "open", "Open", show=False),
        Binding("left", "close", "Close", show=False),
    ]

    class NodeHighlighted(Message):
        """The cursor is on another row; ``node`` is None when there are no rows."""

        def __init__(self, tree: "VirtualTree", node: Node | None) -> None:
            super().__init__()
            self.tree = tree
            self.node = node

        @property
        def path(self) -> str | None:
            """The key or directory."""
            return None if self.node is None else self.node.path

        @property
        def control(self) -> "VirtualTree":
            """The tree."""
            return self.tree

    class NodeSelected(Message):
        """A key was chosen by enter or a double click; a directory opens or closes instead."""

        def __init__(self, tree: "VirtualTree", node: Node) -> None:
            super().__init__()
            self.tree = tree
            self.node = node

        @property
        def path(self) -> str:
            """The key."""
            return self.node.path

        @property
        def control(self) -> "VirtualTree":
            """The tree."""
            return self.tree

    class HeaderClicked(Message):
        """A column's title was clicked; ``key`` is the column's."""

        def __init__(self, tree: "VirtualTree", key: str) -> None:
            super().__init__()
            self.tree = tree
            self.key = key

        @property
        def control(self) -> "VirtualTree":
            """The tree."""
            return self.tree

    # A class attribute, because Textual may ask for a line before __init__ is done.
    _model: TreeModel | None = None

    def set_model(self, model: TreeModel) -> None:
        """Show *model*'s keys from here on."""
        self._model = model
        self._rows_changed()

    @property
    def cursor_node(self) -> Node | None:
        """What the cursor is on."""
        if self._model is None or self._cursor >= self._row_count():
            return None
        return self._model.tree.row(self._cursor)

    @property
    def cursor_path(self) -> str | None:
        """The key or directory that the cursor is on."""
        node = self.cursor_node
        return None if node is None else node.path

    def show_path(self, path: str, *, is_directory: bool = False) -> bool:
        """Open what hides *path* and put the cursor on it; say whether it is there."""
        if self._model is None:
            return False
        tree = self._model.tree
        tree.open(parent_of(path) if is_directory else path[: path.rfind("/", 1) + 1])
        self._rows_changed()
        row = tree.row_of(path, is_directory=is_directory)
        if row is not None:
            self._move_to(row)
        return row is not None

    # What RowView asks.

    def _row_count(self) -> int:
        return 0 if self._model is None else self._model.tree.row_count

    def _row_key_at(self, row: int) -> str:
        assert self._model is not None
        node = self._model.tree.row(row)
        return _row_key(node.path, is_directory=node.is_directory)

    def _find(self, key: str, near: int) -> int | None:  # noqa: ARG002 - the tree needs no hint
        if self._model is None:
            return None
        is_directory = key.endswith(_DIRECTORY_MARK)
        path = key.removesuffix(_DIRECTORY_MARK)
        return self._model.tree.row_of(path, is_directory=is_directory)

    def _cells_at(self, row: int) -> Sequence[Cell]:
        assert self._model is not None
        node = self._model.tree.row(row)
        indent = " " * (INDENT * min(node.depth, DEPTH_SHOWN_MAX))
        if node.is_directory:
            glyph = _OPEN if node.is_open else _CLOSED
            name = Cell(indent + glyph + node.name, "strong")
        else:
            # A key that is its own directory has no name left: say so.
            name = Cell(indent + _KEY + (node.name or "(itself)"), "" if node.name else "muted")
        return (name, *self._model.cells_at(node))

    def _post_highlighted(self, key: str | None) -> None:
        node = None if key is None else self.cursor_node
        self.post_message(self.NodeHighlighted(self, node))

    def _post_selected(self, key: str) -> None:  # noqa: ARG002 - the node says more
        node = self.cursor_node
        if node is None:
            return
        if not node.is_directory:
            self.post_message(self.NodeSelected(self, node))
        elif node.is_open:
            self._close(node)
        else:
            self._open(node)

    def _post_header_clicked(self, column_key: str) -> None:
        self.post_message(self.HeaderClicked(self, column_key))

    # Opening and closing.

    def _open(self, node: Node) -> None:
        assert self._model is not None
        self._model.tree.open(node.path)
        self._rows_changed()

    def _close(self, node: Node) -> None:
        assert self._model is not None
        self._model.tree.close(node.path)
        self._rows_changed()

    def action_open(self) -> None:
        """Open the directory under the cursor; if it is open, go to its first entry."""
        node = self.cursor_node
        if node is None or not node.is_directory:
            return
        if node.is_open:
            self.action_cursor_down()
        else:
            self._open(node)

    def action_close(self) -> None:
        """Close the directory under the cursor; anything else goes to its directory."""
        node = self.cursor_node
        if node is None or self._model is None:
            return
        if node.is_directory and node.is_open:
            self._close(node)
            return
        above = parent_of(node.path) if node.is_directory else node.path[: -len(node.name) or None]
        row = self._model.tree.row_of(above, is_directory=True)
        if row is not None:
            self._move_to(row)

    def action_mark(self) -> None:
        """Mark the key under the cursor; a directory is passed by."""
        node = self.cursor_node
        if node is not None and node.is_directory:
            self.action_cursor_down()
        else:
            super().action_mark()

    def on_click(self, event: events.Click) -> None:
        """Open or close a directory by a click on its arrow."""
        offset = event.get_content_offset(self)
        super().on_click(event)
        event.prevent_default()
        node = self.cursor_node
        if offset is None or node is None or not node.is_directory or event.chain == 2:
            return
        row = self._map.locate(self._top + offset.y - self._show_header)[0]
        arrow = GUTTER + INDENT * min(node.depth, DEPTH_SHOWN_MAX)
        on_arrow = arrow <= offset.x < arrow + len(_OPEN)
        if on_arrow and row == self._cursor and offset.y >= self._show_header:
            self.action_select()
