"""The console: composition root of the screen, the store and the feeds."""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import PurePath
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.driver import Driver

from c101.core.clock import Clock, SystemClock
from c101.core.errors import C101Error
from c101.tui import keymap as keymaps
from c101.tui.actions.table import ACTIONS
from c101.tui.feeds import judgement
from c101.tui.feeds.access import ClusterAccess
from c101.tui.feeds.feeds import Feeds
from c101.tui.feeds.terminal import TerminalDriver
from c101.tui.messages import PaneChanged, TerminalGone
from c101.tui.render.sanitise import sanitise
from c101.tui.screens.main import MainScreen
from c101.tui.screens.palette import PaletteProvider
from c101.tui.store.console_store import ConsoleStore
from c101.tui.store.units import UnitsModel
from c101.tui.themes import register_themes

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a user may choose. ``keys`` are overrides by action id; ``zone`` ``None`` is local."""

    theme: str = ""
    zone: tzinfo | None = None
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class ConsoleApp(App[int]):
    """Paints at once, then reaches the cluster."""

    COMMANDS: ClassVar = {PaletteProvider}
    CSS_PATH: ClassVar[str | PurePath | list[str | PurePath] | None] = [
        "screens/main.tcss",
        "panes/panes.tcss",
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "leave", "Quit", show=False, priority=True),
        Binding("ctrl+c", "interrupted", "", show=False, priority=True),
    ]

    def __init__(
        self,
        access: ClusterAccess,
        *,
        clock: Clock | None = None,
        settings: Settings | None = None,
        driver: type[Driver] | None = TerminalDriver,
    ) -> None:
        super().__init__(driver_class=driver)
        settings = settings or Settings()
        self.access = access
        self.clock = clock or SystemClock()
        self.store = ConsoleStore(UnitsModel(judgement.reasons, judgement.is_global))
        self.store.progress = "starting…"
        claims = [
            keymaps.KeyClaim(action_id=action.id, scopes=action.scopes, keys=action.keys)
            for action in ACTIONS
        ]
        self.feeds = Feeds(access, self.store, self._changed, self.clock)
        self.main = MainScreen(
            access,
            self.store,
            keymaps.build(claims, settings.keys),
            self.clock,
            why=self._why,
            zone=settings.zone,
        )
        self.feeds.keys.changed = self.main.keys_pane.keys_changed
        self.problem: str = ""
        self._feeding: asyncio.Task[None] | None = None
        register_themes(self)
        if settings.theme:
            self.theme = settings.theme
        self.animation_level = "none"

    def get_default_screen(self) -> MainScreen:
        """Begin with the panes."""
        return self.main

    def on_mount(self) -> None:
        """Reach the cluster once the first picture is on the screen."""
        loop = asyncio.get_running_loop()
        # In tests the loop may not be the main thread's.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(signal.SIGHUP, self.exit)
            loop.add_signal_handler(signal.SIGTERM, self.exit)
        self.call_after_refresh(self._connect)

    def _connect(self) -> None:
        # What is there by the first picture stays, and is left out of every collection.
        gc.freeze()
        gc.enable()
        if self._feeding is None:
            self._feeding = asyncio.create_task(self._feed(), name="feeds")

    async def _feed(self) -> None:
        try:
            await self.feeds.run()
        except C101Error as exc:
            self.problem = sanitise(f"{exc} ({exc.hint})" if exc.hint else str(exc))
            self.exit(exc.exit_status)
        except Exception as exc:  # the root: said, not shown as a screen that hangs
            self.problem = sanitise(f"{type(exc).__name__}: {exc}")
            logger.exception("console failed")
            self.exit(1)

    async def on_unmount(self) -> None:
        """Let go of the cluster; one that ends with the console has ended on return."""
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.wait([self._feeding])
        await self.access.close()

    def _changed(self, pane: str, keys: frozenset[str] | None) -> None:
        self.main.post_message(PaneChanged(pane, keys))

    def _why(self, unit: str) -> Sequence[str]:
        return judgement.why(self.store.units.cluster, unit)

    def on_terminal_gone(self, _: TerminalGone) -> None:
        """End: there is nobody to show anything to."""
        self.exit(0)

    def action_leave(self) -> None:
        """End without asking."""
        self.exit(0)

    def action_interrupted(self) -> None:
        """Say how to end; ctrl+c is too easily pressed."""
        self.notify("q quits, ctrl+q at once", timeout=3)
