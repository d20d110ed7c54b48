"""The command palette: every action that can be done now, and every unit, machine and key."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit, Hits, Provider

from c101.tui.actions.action import ANYWHERE
from c101.tui.actions.table import ACTIONS, valid_in
from c101.tui.render.guide import keys_of

if TYPE_CHECKING:
    from c101.tui.screens.main import MainScreen

#: Keys of the KV that are looked through for one letter typed.
KEYS_SEARCHED_MAX = 20_000

Entry = tuple[str, str, Callable[[], None]]


class PaletteProvider(Provider):
    """Finds actions and things by a few letters of their names."""

    @property
    def _main(self) -> "MainScreen | None":
        from c101.tui.screens.main import MainScreen  # noqa: PLC0415 - main imports this

        return next((s for s in self.app.screen_stack if isinstance(s, MainScreen)), None)

    async def discover(self) -> Hits:
        """Offer the actions of the focused pane."""
        main = self._main
        if main is None:
            return
        context = main.context()
        for action in valid_in(context.pane):
            if action.scopes != ANYWHERE and action.refuse(context) is None:
                run = partial(main.choose, action.id)
                yield DiscoveryHit(action.title, run, help=keys_of(action))

    async def search(self, query: str) -> Hits:
        """Offer what matches *query*."""
        main = self._main
        if main is None:
            return
        matcher = self.matcher(query)
        for title, words, run in _entries(main):
            score = matcher.match(title)
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, help=words)


def _entries(main: "MainScreen") -> Iterator[Entry]:
    context = main.context()
    for action in ACTIONS:
        if action.scopes == ANYWHERE or context.pane in action.scopes:
            yield action.title, keys_of(action), partial(main.choose, action.id)
    for row in main.store.units.all_rows():
        yield f"unit {row.unit}", row.machine, partial(main.show_unit, row.key)
    for machine in main.store.machines.list.rows.values():
        yield f"machine {machine.name}", machine.state.value, partial(main.show_machine, machine.id)
    paths = iter(main.store.keys.records)
    for _, path in zip(range(KEYS_SEARCHED_MAX), paths, strict=False):
        yield f"key {path}", "", partial(main.show_key, path)
