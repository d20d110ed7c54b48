"""The line that commands are typed into: the verbs of ``c101ctl``, and a few of the console's."""

from collections.abc import Iterable

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Static

from c101.tui.store.console_store import ConsoleStore

#: Commands remembered.
HISTORY_MAX = 200

UNIT_VERBS = ("start", "stop", "restart", "unload", "destroy", "why", "status", "cat", "journal")
KEY_VERBS = ("get", "set", "rm", "ls")
OTHER_VERBS = ("power", "units", "machines", "keys", "theme", "log", "help", "q")


class VerbSuggester(Suggester):
    """Completes verbs, then names."""

    def __init__(self, store: ConsoleStore) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._store = store

    async def get_suggestion(self, value: str) -> str | None:
        """Return the first completion of *value*."""
        verb, space, rest = value.partition(" ")
        if not space:
            verbs = (*UNIT_VERBS, *KEY_VERBS, *OTHER_VERBS)
            return next((word for word in verbs if word.startswith(verb)), None)
        done, _, last = rest.rpartition(" ")
        head = f"{verb} {done} " if done else f"{verb} "
        found = next((name for name in self._names(verb) if name.startswith(last)), None)
        return head + found if found is not None and last else None

    def _names(self, verb: str) -> Iterable[str]:
        if verb in UNIT_VERBS:
            return sorted(self._store.units.cluster.units)
        if verb in KEY_VERBS:
            return sorted(self._store.keys.records)
        if verb == "power":
            return sorted(row.name for row in self._store.machines.list.rows.values())
        return ()


class CommandLine(Horizontal):
    """Hidden until ``:`` is pressed."""

    class Given(Message):
        """A command was typed; "" when the line was left."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, store: ConsoleStore) -> None:
        super().__init__(id="command-line")
        self.input = Input(
            placeholder="start stop restart why journal get set power … (tab completes)",
            suggester=VerbSuggester(store),
        )
        self.input.cursor_blink = False
        self._history: list[str] = []
        self._at = 0

    def compose(self) -> ComposeResult:
        """Lay out the colon and the line."""
        yield Static(":", classes="colon")
        yield self.input

    def begin(self) -> None:
        """Take the keyboard."""
        self.display = True
        self.input.value = ""
        self._at = len(self._history)
        self.screen.set_focus(self.input)

    def on_key(self, event: events.Key) -> None:
        """Leave, complete, and recall."""
        if event.key == "escape":
            event.stop()
            self._end("")
        elif event.key == "tab":
            event.stop()
            event.prevent_default()
            self.input.action_cursor_right()
        elif event.key in {"up", "down"}:
            event.stop()
            self._recall(-1 if event.key == "up" else 1)

    def _recall(self, step: int) -> None:
        self._at = max(0, min(len(self._history), self._at + step))
        self.input.value = self._history[self._at] if self._at < len(self._history) else ""
        self.input.cursor_position = len(self.input.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        if text:
            self._history = [*self._history, text][-HISTORY_MAX:]
        self._end(text)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()

    def _end(self, text: str) -> None:
        self.display = False
        self.post_message(self.Given(text))
