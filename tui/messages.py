"""What parts of the console say to each other: one sentence each."""

from dataclasses import dataclass

from textual.message import Message


@dataclass
class PaneChanged(Message):
    """What a pane (or ``header``) shows has changed: *keys* of its rows, or all when ``None``."""

    pane: str
    keys: frozenset[str] | None = None


@dataclass
class FocusChanged(Message):
    """Another pane or another row is focused: footer and detail follow."""

    def can_replace(self, message: Message) -> bool:
        """Let only the newest of several waiting ones be handled."""
        return isinstance(message, FocusChanged)


@dataclass
class ActionPressed(Message):
    """Somebody chose an action of the table, by key, click, menu or palette."""

    action_id: str


@dataclass
class TerminalGone(Message):
    """Standard input has ended: there is nobody to show anything to."""
