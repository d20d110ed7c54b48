"""What the console looks like, as pictures: after a change on purpose, ``--snapshot-update``."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Protocol

import pytest
from textual.app import App
from textual.pilot import Pilot

from c101.core.errors import LinkLostError
from c101.core.model.cluster import ClusterState
from c101.tui.app import ConsoleApp, Settings
from c101.tui.widgets.line_view import LineView
from tests.fakes import sample_cluster as sample
from tests.fakes.access import FakeAccess
from tests.fakes.clock import FakeClock

WIDE, SMALL = (120, 36), (80, 24)

#: CPU of the three machines over time, for their sparklines.
LOADS = (3, 8, 20, 5, 30, 12, 7, 9)


class SnapCompare(Protocol):
    """pytest-textual-snapshot's fixture."""

    def __call__(
        self,
        app: App[int],
        *,
        terminal_size: tuple[int, int],
        run_before: Callable[[Pilot[int]], Awaitable[None]],
    ) -> bool: ...


class Picture:
    """A console on a standing clock, brought to where the picture is taken."""

    def __init__(self, access: FakeAccess, *, theme: str = "c101-dark") -> None:
        self.access = access
        self.clock = FakeClock()
        settings = Settings(zone=UTC, theme=theme)
        self.app = ConsoleApp(access, clock=self.clock, settings=settings, driver=None)

    async def settle(self, pilot: Pilot[int]) -> None:
        """Let everything on its way arrive; what glows fades."""
        for _ in range(12):
            await self.clock.advance(0.05)
            await asyncio.sleep(0.01)
            await pilot.pause()
        main = self.app.main
        for view in (main.units.table, main.machines.table, main.keys_pane.view):
            view._flashing.clear()
        # Which second a line is counted in depends on the computer: the bars are made up.
        main.journal.log_view.flush()
        main.journal.log_view.rate.history(1)
        main.journal.log_view.rate._counts.extend((0, 2, 1, 3, 0, 1, 5, 2, 1, 0, 2, 1, 0))
        main._tick()
        for lines in self.app.screen.query(LineView):
            lines.refresh()
        await pilot.pause()

    async def load(self, pilot: Pilot[int]) -> None:
        """Let the cluster arrive before the clock moves, and the machines work a while."""
        while any(self.app.store.status(pane).since == 0.0 for pane in ("units", "keys")):
            await pilot.pause(0.01)
        await self.settle(pilot)
        for step in range(len(LOADS)):
            for index, name in enumerate(sample.MACHINES):
                cpu = LOADS[(step + index * 3) % len(LOADS)]
                told = sample.usage(cpu, 0.31 - index * 0.02, 0.4, step / 10)
                self.access.usage_of[sample.machine_id(name)].publish(told)
            await self.clock.advance(0.05)
        await self.settle(pilot)


Act = Callable[[Picture, Pilot[int]], Awaitable[None]]


def keys(*pressed: str) -> Act:
    async def act(picture: Picture, pilot: Pilot[int]) -> None:
        for key in pressed:
            for letter in key[5:] if key.startswith("type:") else (key,):
                await pilot.press("space" if letter == " " else letter)
            await pilot.pause()

    return act


async def nothing(picture: Picture, pilot: Pilot[int]) -> None:
    pass


async def lose_m2(picture: Picture, pilot: Pilot[int]) -> None:
    picture.access.usage_of[sample.machine_id("m2")].cut(LinkLostError("connection refused"))
    picture.access.journal_of[sample.machine_id("m2")].cut(LinkLostError("connection refused"))
    picture.access.set_state(sample.with_lost(picture.access.state, "m2"))


async def lose_the_kv(picture: Picture, pilot: Pilot[int]) -> None:
    picture.access.cut_kv("ssh://core@m1: connection refused")


async def break_the_keys(picture: Picture, pilot: Pilot[int]) -> None:
    picture.access.key_updates.cut(ZeroDivisionError("a fault of ours"))


async def fail_db1(picture: Picture, pilot: Pilot[int]) -> None:
    failed = sample.state("db1.service", "m1", active="failed", sub="failed", age=3)
    picture.access.set_unit_state(failed)


async def stop_db1(picture: Picture, pilot: Pilot[int]) -> None:
    await keys("down", "down", "t")(picture, pilot)
    await picture.settle(pilot)
    picture.access.fail_with = LinkLostError("the connection was lost")
    await keys("r", "down", "t", "at")(picture, pilot)


@pytest.mark.parametrize(
    ("name", "size", "act"),
    [
        ("main", WIDE, nothing),
        ("main_small", SMALL, nothing),
        ("machines_small", SMALL, keys("2")),
        ("units_filtered", WIDE, keys("slash", "type:web")),
        ("machines_filtered", WIDE, keys("2", "slash", "type:disk=hdd", "enter")),
        ("keys_filtered", WIDE, keys("3", "slash", "type:web")),
        ("journal_filtered", WIDE, keys("4", "slash", "type:GET", "enter")),
        ("machine_lost", WIDE, lose_m2),
        ("unit_failed", WIDE, fail_db1),
        ("reconnecting", WIDE, lose_the_kv),
        ("keys_broken", WIDE, break_the_keys),
        ("detail", WIDE, keys("down", "enter")),
        ("why", WIDE, keys("w")),
        ("confirm", WIDE, keys("space", "space", "r")),
        ("help", WIDE, keys("question_mark")),
        ("menu", WIDE, keys("x")),
        ("commands", WIDE, stop_db1),
        ("keys_zoomed", WIDE, keys("3", "plus")),
        ("too_small", (50, 12), nothing),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_looks_like_this(
    snap_compare: SnapCompare, name: str, size: tuple[int, int], act: Act
) -> None:
    picture = Picture(sample.access())

    async def bring(pilot: Pilot[int]) -> None:
        await picture.load(pilot)
        await act(picture, pilot)
        await picture.settle(pilot)

    assert snap_compare(picture.app, terminal_size=size, run_before=bring)


def test_it_looks_like_this_in_the_light(snap_compare: SnapCompare) -> None:
    picture = Picture(sample.access(), theme="c101-light")
    assert snap_compare(picture.app, terminal_size=WIDE, run_before=picture.load)


def test_it_looks_like_this_with_nothing_in_it(snap_compare: SnapCompare) -> None:
    picture = Picture(FakeAccess(ClusterState(revision=3)))
    assert snap_compare(picture.app, terminal_size=WIDE, run_before=picture.settle)


def test_it_looks_like_this_before_the_cluster_is_there(snap_compare: SnapCompare) -> None:
    access = sample.access()
    access.gate.clear()
    picture = Picture(access)
    assert snap_compare(picture.app, terminal_size=WIDE, run_before=picture.settle)
