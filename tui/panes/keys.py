"""The keys pane: the KV as a tree, and beneath it the value that is focused."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult

from c101.core.clock import Clock
from c101.core.registry.keyspace import DEFAULT_PREFIX
from c101.tui.actions.action import KEYS, KeyFocus
from c101.tui.messages import ActionPressed, FocusChanged
from c101.tui.panes.pane import Pane
from c101.tui.panes.title_line import TitleLine
from c101.tui.render import keys as render
from c101.tui.render.cells import Cell
from c101.tui.render.humanise import count
from c101.tui.store.console_store import ConsoleStore
from c101.tui.store.key_tree import KeyTree, Node
from c101.tui.store.keys import KeyRecord, KeysDelta
from c101.tui.store.pane_status import Freshness
from c101.tui.widgets.cell_lines import CellLines
from c101.tui.widgets.tree import Column, VirtualTree

COLUMNS = (
    Column("name", "KEY", None, min_width=18, priority=90),
    Column("value", "VALUE", None, min_width=10, priority=80, cut="end"),
    Column("revision", "REV", 6, align="right", priority=40),
    Column("lease", "LEASE", 7, align="right", priority=50),
)

#: What applications use is open at the start; the cluster's own keys are not.
OPEN_AT_START = ("/services/",)


class _Tree:
    """The store's keys as the tree asks for them."""

    def __init__(self, store: ConsoleStore) -> None:
        self._keys = store.keys
        self.tree = KeyTree(store.keys.records, OPEN_AT_START)

    def cells_at(self, node: Node) -> Sequence[Cell]:
        if node.is_directory:
            return (Cell(count(node.count), "muted"), Cell(""), Cell(""))
        record = self._keys.records.get(node.path)
        seconds = self._keys.lease_seconds.get(record.lease) if record is not None else None
        return render.cells(record, seconds)


class KeysPane(Pane):
    """Every key of the KV."""

    NAME: ClassVar[str] = KEYS
    NUMBER: ClassVar[int] = 3
    TITLE: ClassVar[str] = "KEYS"
    EMPTY: ClassVar[str] = "no keys yet: n makes one"

    def __init__(self, store: ConsoleStore, clock: Clock) -> None:
        super().__init__(store, clock)
        self.model = _Tree(store)
        self.view = VirtualTree(COLUMNS, header=False, id="keys-tree")
        self.value_title = TitleLine(classes="value-title")
        self.value = CellLines(classes="value")
        self.value.can_focus = False
        self._opened: set[str] = set()
        self._placed = False

    def compose_body(self) -> ComposeResult:
        """Yield the tree, and the value under it."""
        self.view.set_model(self.model)
        yield self.view
        yield self.value_title
        yield self.value

    @property
    def body(self) -> VirtualTree:
        """The tree."""
        return self.view

    @property
    def focused_record(self) -> KeyRecord | None:
        """The key under the cursor; ``None`` on a directory."""
        node = self.view.cursor_node
        if node is None or node.is_directory:
            return None
        return self.store.keys.records.get(node.path)

    def keys_changed(self, delta: KeysDelta) -> None:
        """Take keys into the tree that came, and out that went."""
        tree = self.model.tree
        self._open_new(delta.put)
        came = [path for path in delta.put if self._shown(path) and tree.insert(path)]
        went = [path for path in delta.deleted if tree.delete(path)]
        if came or went:
            self.view.refresh_rows(None)

    def _open_new(self, paths: Iterable[str]) -> None:
        """Open each directory of applications when it is first seen; closed by hand it stays so."""
        for path in paths:
            if path.startswith(OPEN_AT_START):
                directory = path[: path.rfind("/", 1) + 1]
                if directory not in self._opened:
                    self._opened.add(directory)
                    self.model.tree.open(directory)

    def _place_cursor(self) -> None:
        """Begin on the first key of an application, whose value then shows."""
        if self._placed or self.store.status(self.NAME).freshness is not Freshness.LIVE:
            return
        paths = (path for path in self.store.keys.records if path.startswith(OPEN_AT_START))
        first = min(paths, default="")
        if first or self.view.cursor_row:
            self._placed = True
        if first and not self.view.cursor_row:
            self.view.show_path(first)

    def rows_changed(self, keys: frozenset[str] | None) -> None:
        """Repaint the keys that differ, and let them glow."""
        self.view.refresh_rows(keys)
        self.view.set_stale(self.store.status(self.NAME).stale)
        if keys and self.store.keys.revision:
            self.view.flash(keys)
        self._place_cursor()
        self._show_value()

    def show_path(self, path: str) -> bool:
        """Put the cursor on a key, or on a directory; say whether it is there."""
        if path in self.store.keys.records:
            return self.view.show_path(path)
        return self.view.show_path(f"{path.rstrip('/')}/", is_directory=True)

    def _shown(self, path: str) -> bool:
        return not self.chosen_filter or self.chosen_filter.matches(*self._searched(path))

    def _searched(self, path: str) -> tuple[str, Mapping[str, str]]:
        record = self.store.keys.records.get(path)
        value = record.value[:256].decode("utf-8", "replace") if record is not None else ""
        return f"{path} {value}", {"key": path, "value": value}

    def filter_changed(self) -> None:
        """Show the keys that match, with what they are in."""
        opened = self.model.tree.opened
        shown = [path for path in self.store.keys.records if self._shown(path)]
        self.model.tree = KeyTree(shown, opened or OPEN_AT_START)
        if self.chosen_filter:
            self.model.tree.open_all()
        self.view.highlight = self.chosen_filter.highlight
        self.view.refresh_rows(None)

    def context(self) -> Mapping[str, Any]:
        """Return the focused key or directory."""
        node = self.view.cursor_node
        if node is None:
            return {}
        protected = node.path.startswith(DEFAULT_PREFIX)
        focus = KeyFocus(path=node.path, exists=not node.is_directory, protected=protected)
        return {"key": focus}

    def count(self) -> tuple[int, int]:
        """Return keys, and keys shown."""
        return len(self.store.keys.records), len(self.model.tree)

    def aside(self) -> Iterable[Cell]:
        """Return the revision."""
        revision = self.store.keys.revision
        return [Cell(f"rev {count(revision)} ", "muted")] if revision else []

    def summary(self) -> Iterable[Cell]:
        """Return the revision."""
        yield Cell(f"  rev {count(self.store.keys.revision)}", "muted")

    def _show_value(self) -> None:
        record = self.focused_record
        node = self.view.cursor_node
        if record is None:
            left = [Cell(f" {node.path}" if node is not None else " ", "muted")]
            held = f"{count(node.count)} keys " if node is not None else ""
            self.value_title.show(left, [], [Cell(held, "muted")], focused=False)
            self.value.set_lines([])
            return
        seconds = self.store.keys.lease_seconds.get(record.lease)
        facts = [Cell(render.facts(record, seconds) + " ", "muted")]
        left = [Cell(" value of ", "muted"), Cell(record.path, "")]
        self.value_title.show(left, [], facts, focused=False)
        lines = [(Cell(f" {line}"),) for line in render.value_lines(record)]
        self.value.set_lines(lines or [(Cell(" (empty)", "dim"),)], keep_place=False)

    @on(VirtualTree.NodeHighlighted)
    def _node_highlighted(self, event: VirtualTree.NodeHighlighted) -> None:
        event.stop()
        self._show_value()
        self.post_message(FocusChanged())

    @on(VirtualTree.NodeSelected)
    def _node_selected(self, event: VirtualTree.NodeSelected) -> None:
        event.stop()
        self.post_message(ActionPressed("keys.edit"))
