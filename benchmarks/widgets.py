"""How much the console's widgets cost: CPU a change, key to repaint under a flood, a large tree.

    .venv/bin/python -m benchmarks.widgets

Headless, 160 by 50 cells, medians. CPU is this process's own (``time.process_time``), so a busy
machine changes it little. "Key to repaint" is wall time from a key's event to the repaint done.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widget import Widget

from c101.tui.render.cells import Cell
from c101.tui.store.key_tree import KeyTree, Node
from c101.tui.themes import register_themes
from c101.tui.widgets.columns import Column
from c101.tui.widgets.log import LINES_MAX, LogLine, VirtualLog
from c101.tui.widgets.table import VirtualTable
from c101.tui.widgets.tree import VirtualTree

SIZE = (160, 50)
ROUNDS = 60
ROWS = 10_000
TREE_KEYS = 1_000_000
LINES_A_SECOND = 5_000
FLOOD_SECONDS = 6

COLUMNS = (
    Column("state", "", 1, priority=9),
    Column("unit", "UNIT", min_width=20, priority=9),
    *(Column(f"c{n}", f"COLUMN{n}", 10) for n in range(6)),
)


class Rows:
    """Rows of eight cells; ``generation`` changes one of them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.generation = 0

    def __len__(self) -> int:
        return self.count

    def key_at(self, i: int) -> str:
        """Return the name of a unit."""
        return f"unit-{i}.service"

    def cells_at(self, i: int) -> Sequence[Cell]:
        """Return eight cells."""
        middle = (Cell(f"cell {i % 97}", "muted") for _ in range(5))
        return (Cell("●", "good"), Cell(self.key_at(i)), *middle, Cell(str(self.generation)))

    def note_at(self, i: int) -> Cell | None:
        """Return a reason for one in five hundred."""
        return Cell("why: 0 of 3 machines have memory=big", "warn") if i % 500 == 7 else None


@dataclass
class Keys:
    """Keys, each with a value."""

    tree: KeyTree

    def cells_at(self, node: Node) -> Sequence[Cell]:
        """Return a key's value."""
        return (Cell("" if node.is_directory else f"value of {node.name}"),)


class Bench(App[None]):
    """One widget on a screen."""

    def __init__(self, *widgets: Widget) -> None:
        super().__init__()
        self.widgets = widgets
        register_themes(self)

    def compose(self) -> ComposeResult:
        """Lay the widgets out."""
        yield from self.widgets

    def on_mount(self) -> None:
        """Let the last one have the keys."""
        self.widgets[-1].focus()


async def painted(pilot: Pilot[None]) -> None:
    """Wait until what was asked to be repainted is."""
    done = asyncio.Event()
    pilot.app.screen.call_after_refresh(done.set)
    await done.wait()


async def cpu_ms(
    pilot: Pilot[None], change: Callable[[], object], rounds: int = ROUNDS
) -> list[float]:
    """Return the CPU, in milliseconds, of each change with its repaint."""
    taken: list[float] = []
    for _ in range(rounds):
        await asyncio.sleep(0.02)
        began = time.process_time()
        change()
        await painted(pilot)
        taken.append((time.process_time() - began) * 1_000)
    return taken


def report(what: str, values: Sequence[float], unit: str, bar: float | None = None) -> None:
    """Print a median, its spread, and how it stands to what is asked."""
    ordered = sorted(values)
    median = statistics.median(ordered)
    worst = ordered[int(len(ordered) * 0.95)] if len(ordered) > 1 else median
    verdict = (
        ""
        if bar is None
        else f"   asked: under {bar:g} {unit}" + ("" if median < bar else "  MISSED")
    )
    print(f"{what:<58} {median:8.2f} {unit}   p95 {worst:8.2f}{verdict}")


async def bench_table() -> None:
    model = Rows(ROWS)
    table = VirtualTable(COLUMNS)
    table.set_model(model)
    async with Bench(table).run_test(size=SIZE) as pilot:
        await painted(pilot)

        def one_cell() -> None:
            model.generation += 1
            table.refresh_rows([model.key_at(10)])

        def out_of_sight() -> None:
            table.refresh_rows([model.key_at(9_000)])

        def a_tick() -> None:
            model.generation += 1
            table.refresh_rows([model.key_at(i) for i in range(40)])

        report(f"table, {ROWS:,} rows: one changed cell", await cpu_ms(pilot, one_cell), "ms", 5)
        report("table: a changed row out of sight", await cpu_ms(pilot, out_of_sight), "ms", 5)
        report("table: 40 changed rows in sight", await cpu_ms(pilot, a_tick), "ms")
        report("table: cursor down", await cpu_ms(pilot, table.action_cursor_down), "ms")
        report("table: page down", await cpu_ms(pilot, table.action_cursor_page_down), "ms")
        report(
            "table: rows came or went (all laid out)", await cpu_ms(pilot, table.refresh_rows), "ms"
        )


async def bench_tree() -> None:
    keys = [f"/flat/key-{i:07}" for i in range(TREE_KEYS)]
    began = time.process_time()
    tree = KeyTree(keys)
    report(f"tree: {TREE_KEYS:,} flat keys loaded", [(time.process_time() - began) * 1e3], "ms")
    view = VirtualTree((Column("key", "KEY", min_width=20), Column("value", "VALUE", 40)))
    view.set_model(Keys(tree))
    async with Bench(view).run_test(size=SIZE) as pilot:
        await painted(pilot)

        def toggle() -> None:
            view.action_select()

        def insert_and_delete() -> None:
            tree.insert("/flat/key-0500000x")
            tree.delete("/flat/key-0500000x")
            view.refresh_rows()

        report("tree: open or shut that directory", await cpu_ms(pilot, toggle), "ms", 50)
        view.action_open()
        await painted(pilot)
        report("tree: a key comes, a key goes", await cpu_ms(pilot, insert_and_delete), "ms", 50)
        report("tree: page down", await cpu_ms(pilot, view.action_cursor_page_down), "ms")
        report("tree: to the end and back", await cpu_ms(pilot, ends(view)), "ms")


def ends(view: VirtualTree) -> Callable[[], None]:
    at_end = False

    def go() -> None:
        nonlocal at_end
        at_end = not at_end
        (view.action_cursor_end if at_end else view.action_cursor_home)()

    return go


def line(number: int) -> LogLine:
    prefix = (
        Cell(f"18:42:{number // 100 % 60:02}", "muted"),
        Cell(f"m{number % 3}", "muted"),
        Cell(f"web@{number % 5}"),
    )
    return LogLine(prefix, f"GET /items/{number} 200 {number % 13}ms from 10.0.0.{number % 250}")


async def bench_log() -> None:
    """A flood of lines while keys move the cursor of a table beside it."""
    model = Rows(ROWS)
    table = VirtualTable(COLUMNS)
    table.set_model(model)
    log = VirtualLog()
    ready = [line(number) for number in range(LINES_A_SECOND * FLOOD_SECONDS)]
    async with Bench(log, table).run_test(size=SIZE) as pilot:
        log.append(line(number) for number in range(15_000))
        await painted(pilot)
        key_ms: list[float] = []
        began, began_cpu = time.monotonic(), time.process_time()
        flood = asyncio.create_task(pour(log, ready))
        while not flood.done():
            await asyncio.sleep(0.05)
            pressed = time.perf_counter()
            pilot.app.post_message(events.Key("down", None))
            await until(lambda: table.cursor_row != 0, pilot)
            key_ms.append((time.perf_counter() - pressed) * 1_000)
            table.action_cursor_home()
        await flood
        taken, cpu = time.monotonic() - began, time.process_time() - began_cpu
        report(f"log at {LINES_A_SECOND:,} lines/s: key to repaint beside it", key_ms, "ms", 50)
        report("log: share of one core meanwhile", [100 * cpu / taken], "% ")
        print(f"    {len(ready) / taken:,.0f} lines/s taken, {log.dropped_count} dropped")
        await bench_full_log(pilot, log)


async def bench_full_log(pilot: Pilot[None], log: VirtualLog) -> None:
    """What a ring full of lines costs to filter, to wrap and to scroll."""
    while log.line_count < LINES_MAX:
        log.append(line(number) for number in range(20_000))
        log.flush()
    words = iter(["web@1 ", "items/77", None] * ROUNDS)
    report(
        "log, full: filter by a text",
        await cpu_ms(pilot, lambda: log.set_filter(next(words)), 12),
        "ms",
    )
    log.set_filter(None)
    report("log, full: page up", await cpu_ms(pilot, log.action_go_page_up), "ms")
    batch = [line(number) for number in range(167)]

    def flush() -> None:
        log.append(batch)
        log.flush()

    log.action_follow()
    report("log, full: 167 lines and a repaint of all in sight", await cpu_ms(pilot, flush), "ms")


async def pour(log: VirtualLog, lines: Sequence[LogLine]) -> None:
    """Give *lines* to the log at the rate asked, in the small batches that a feed makes."""
    began = time.monotonic()
    given = 0
    while given < len(lines):
        due = min(len(lines), int((time.monotonic() - began) * LINES_A_SECOND))
        log.append(lines[given:due])
        given = due
        await asyncio.sleep(0.01)


async def until(condition: Callable[[], bool], pilot: Pilot[None]) -> None:
    while not condition():
        await asyncio.sleep(0)
    await painted(pilot)


async def main() -> None:
    benches: tuple[Callable[[], Awaitable[None]], ...] = (bench_table, bench_tree, bench_log)
    for bench in benches:
        await bench()


if __name__ == "__main__":
    asyncio.run(main())
