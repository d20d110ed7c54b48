"""Small apps with one widget each, and models a test can change."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from textual.app import App, ComposeResult
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from c101.tui.render.cells import Cell, LogLine, Meaning
from c101.tui.store.key_tree import KeyTree, Node
from c101.tui.themes import register_themes
from c101.tui.widgets.columns import Column
from c101.tui.widgets.log import VirtualLog
from c101.tui.widgets.table import VirtualTable
from c101.tui.widgets.tree import VirtualTree

COLUMNS = (
    Column("state", "", 1, priority=9),
    Column("unit", "UNIT", min_width=10, priority=9),
    Column("machine", "MACHINE", 7, priority=5),
    Column("active", "ACTIVE", 8, priority=6),
    Column("since", "SINCE", 5, align="right", priority=4),
)


@dataclass
class UnitRows:
    """Rows of units: name to glyph, meaning, machine, active, since."""

    rows: dict[str, tuple[str, Meaning, str, str, str]] = field(default_factory=dict)
    notes: dict[str, Cell] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    asked: int = 0

    def put(self, key: str, *, active: str = "active", machine: str = "m1") -> None:
        if key not in self.rows:
            self.order.append(key)
        glyph, meaning = STATES[active]
        self.rows[key] = (glyph, meaning, machine, active, "2m")

    def __len__(self) -> int:
        return len(self.order)

    def key_at(self, i: int) -> str:
        return self.order[i]

    def cells_at(self, i: int) -> Sequence[Cell]:
        self.asked += 1
        key = self.order[i]
        glyph, meaning, machine, active, since = self.rows[key]
        quiet: Meaning = "" if meaning == "good" else meaning
        return (
            Cell(glyph, meaning),
            Cell(key),
            Cell(machine, "muted"),
            Cell(active, quiet),
            Cell(since),
        )

    def note_at(self, i: int) -> Cell | None:
        return self.notes.get(self.order[i])


STATES: dict[str, tuple[str, Meaning]] = {
    "active": ("●", "good"),
    "starting": ("◐", "busy"),
    "inactive": ("○", "dim"),
    "failed": ("✖", "bad"),
    "pending": ("⚑", "warn"),
}


def units(count: int) -> UnitRows:
    model = UnitRows()
    for number in range(count):
        model.put(f"web@{number}.service", machine=f"m{number % 3 + 1}")
    return model


@dataclass
class Keys:
    """Keys with a value each."""

    tree: KeyTree

    def cells_at(self, node: Node) -> Sequence[Cell]:
        if node.is_directory:
            return (Cell(str(node.count), "muted"), Cell(""))
        return (Cell(f"value of {node.name}"), Cell("r29", "muted"))


class WidgetApp(App[None]):
    """An app with one widget; it keeps the messages that the widget sends."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.subject = widget
        self.heard: list[Message] = []
        register_themes(self)

    def compose(self) -> ComposeResult:
        yield self.subject

    def on_mount(self) -> None:
        self.subject.focus()

    def on_virtual_table_row_highlighted(self, message: VirtualTable.RowHighlighted) -> None:
        self.heard.append(message)

    def on_virtual_table_row_selected(self, message: VirtualTable.RowSelected) -> None:
        self.heard.append(message)

    def on_virtual_table_header_clicked(self, message: VirtualTable.HeaderClicked) -> None:
        self.heard.append(message)

    def on_virtual_tree_node_highlighted(self, message: VirtualTree.NodeHighlighted) -> None:
        self.heard.append(message)

    def on_virtual_tree_node_selected(self, message: VirtualTree.NodeSelected) -> None:
        self.heard.append(message)

    def on_virtual_log_follow_changed(self, message: VirtualLog.FollowChanged) -> None:
        self.heard.append(message)

    def on_row_view_marks_changed(self, message: Message) -> None:
        self.heard.append(message)


def table_of(model: UnitRows | None = None) -> VirtualTable:
    table = VirtualTable(COLUMNS)
    table.set_model(UnitRows() if model is None else model)
    return table


def tree_of(*keys: str, opened: Sequence[str] = ()) -> VirtualTree:
    tree = VirtualTree(
        (
            Column("name", "KEY", min_width=12, priority=9),
            Column("value", "VALUE", 18, priority=5),
            Column("revision", "REV", 5, align="right"),
        )
    )
    tree.set_model(Keys(KeyTree(keys, opened)))
    return tree


def log_line(number: int, text: str = "") -> LogLine:
    prefix = (
        Cell(f"18:42:{number % 60:02}", "muted"),
        Cell(f"m{number % 3 + 1}", "muted"),
        Cell(f"web@{number % 4}"),
    )
    return LogLine(prefix, text or f"GET /items/{number} 200", "bad" if number % 7 == 0 else "")


def log_lines(first: int, end: int) -> list[LogLine]:
    return [log_line(number) for number in range(first, end)]


def screen_lines(widget: Widget) -> list[str]:
    """Return what a widget shows, line by line."""
    strips: list[Strip] = [widget.render_line(y) for y in range(widget.size.height)]
    return [strip.text.rstrip() for strip in strips]
