"""The console on a cluster in memory, driven by keys."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC

from textual.pilot import Pilot

from c101.tui.app import ConsoleApp, Settings
from tests.fakes import sample_cluster as sample
from tests.fakes.access import FakeAccess
from tests.fakes.clock import FakeClock

#: How long anything shown may take to be shown, in real seconds.
PATIENCE_SECONDS = 5.0


class Driven:
    """A console that runs, and the hands on it."""

    def __init__(
        self, app: ConsoleApp, pilot: Pilot[int], access: FakeAccess, clock: FakeClock
    ) -> None:
        self.app = app
        self.pilot = pilot
        self.access = access
        self.clock = clock

    @property
    def text(self) -> str:
        """The screen as it would be read, line by line."""
        width, height = self.app.size
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip()[:width] for strip in strips[:height])

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        for letter in text:
            await self.pilot.press("space" if letter == " " else letter)
        await self.pilot.pause()

    async def until(self, check: Callable[[], bool], what: str = "") -> None:
        """Wait, in real time, until *check* holds."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not check():
                    await self.clock.advance(0.05)
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"never: {what or check}\n{self.text}") from None

    async def until_text(self, *texts: str) -> None:
        await self.until(lambda: all(text in self.text for text in texts), " and ".join(texts))

    async def until_told(self, text: str) -> None:
        """Wait for a notice, whose words the screen may break."""
        await self.until(
            lambda: any(text in notice.message for notice in self.app._notifications), text
        )

    async def until_gone(self, text: str) -> None:
        await self.until(lambda: text not in self.text, f"no {text}")


Drive = Callable[..., "Awaitable[Driven]"]


@asynccontextmanager
async def console(
    access: FakeAccess | None = None, *, size: tuple[int, int] = (120, 36), ready: bool = True
) -> AsyncIterator[Driven]:
    """Run a console; by default until everything of the sample cluster is on the screen."""
    held = access or sample.access()
    clock = FakeClock()
    app = ConsoleApp(held, clock=clock, settings=Settings(zone=UTC), driver=None)
    async with app.run_test(size=size) as pilot:
        driven = Driven(app, pilot, held, clock)
        if ready:
            await driven.until(lambda: bool(app.main.journal.log_view.line_count), "lines")
            await pilot.pause()
        yield driven
