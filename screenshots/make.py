"""Pictures of the running demo: a real cluster, the real console, keys pressed as a person would.

Written by ``make screenshots``. The console runs without a terminal; everything else is as always.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from c101.agents.local.spawn import spawn_throw_away
from c101.core.clock import SystemClock
from c101.core.model.cluster import ClusterState
from c101.core.model.machine import MachineState
from c101.examples import UNITS
from c101.tui.app import ConsoleApp, Settings
from c101.tui.feeds import openers
from c101.tui.main import DEMO_MACHINES

HERE = Path(__file__).parent
CLOCK = SystemClock()
#: How long the application may take to run, and to be moved.
WAIT_SECONDS = 60.0
#: Bars and rates look like something after this long.
SETTLE_SECONDS = 12.0


def main() -> None:
    """Make every picture."""
    asyncio.run(_dark())
    asyncio.run(_light())


def _demo(theme: str) -> ConsoleApp:
    cluster = spawn_throw_away("demo", DEMO_MACHINES)
    return ConsoleApp(openers.demo(cluster), settings=Settings(theme=theme))


async def _dark() -> None:
    app = ConsoleApp(
        openers.demo(spawn_throw_away("demo", DEMO_MACHINES)), settings=Settings(theme="c101-dark")
    )
    async with app.run_test(size=(120, 36)) as pilot:
        await _until(app, _all_run, "the application runs")
        await _visit()
        await CLOCK.sleep(SETTLE_SECONDS)
        await _visit()
        _save(app, "main")
        await _press(pilot, "1", "j", "j", "enter")
        _save(app, "detail")
        await _press(pilot, "escape", "question_mark")
        _save(app, "help")
        await _press(pilot, "escape", "2", "j", "K")
        await _press(pilot, "y")
        await _until(app, _one_is_lost, "a machine is lost")
        await CLOCK.sleep(3)
        _save(app, "lost")
        await _press(pilot, "K")
        await _press(pilot, "y")
        await pilot.resize_terminal(80, 24)
        await _press(pilot, "1")
        _save(app, "small")


async def _light() -> None:
    app = ConsoleApp(
        openers.demo(spawn_throw_away("demo", DEMO_MACHINES)), settings=Settings(theme="c101-light")
    )
    async with app.run_test(size=(120, 36)):
        await _until(app, _all_run, "the application runs")
        await _visit()
        await CLOCK.sleep(SETTLE_SECONDS)
        _save(app, "light")


async def _press(pilot: Pilot[int], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await CLOCK.sleep(0.3)


async def _visit() -> None:
    """Fetch some pages, so that the application has something to say."""
    for _ in range(6):
        process = await asyncio.create_subprocess_exec(
            "curl", "-s", "http://127.0.0.1:40080/", stdout=asyncio.subprocess.DEVNULL
        )
        await process.wait()


async def _until(app: ConsoleApp, condition: Callable[[ClusterState], bool], what: str) -> None:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not condition(app.store.units.cluster):
                await CLOCK.sleep(0.2)
    except TimeoutError:
        sys.exit(f"not within {WAIT_SECONDS:g} s: {what}")


def _all_run(cluster: ClusterState) -> bool:
    active = {name for (name, _), state in cluster.states.items() if state.active == "active"}
    return active >= set(UNITS) - {"cache.service"}


def _one_is_lost(cluster: ClusterState) -> bool:
    lost = {one.id for one in cluster.machines.values() if one.state is MachineState.LOST}
    placed = {unit.placement.machine_id for unit in cluster.units.values() if unit.placement}
    return bool(lost) and not lost & placed and _all_run(cluster)


def _save(app: ConsoleApp, name: str) -> None:
    path = HERE / f"{name}.svg"
    path.write_text(app.export_screenshot(title="c101-console demo"))
    print(f"{path.name}: {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
