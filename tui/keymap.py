"""Which key does what, in which pane: defaults, the user's overrides, and the clashes found.

Knows only ids, keys and scopes, so that any table of actions can be mapped.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from c101.core.errors import ConfigError

GLOBAL = "global"

#: Keys that a terminal, tmux or screen keeps for itself, or that may never change a cluster.
RESERVED = frozenset({"ctrl+c", "ctrl+z", "ctrl+s", "ctrl+a", "ctrl+b", "ctrl+k", "ctrl+d"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyClaim:
    """An action's wish: its id, where it works, and the keys that choose it."""

    action_id: str
    scopes: tuple[str, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keymap:
    """Keys to action ids, by scope. A pane's own meaning of a key goes before the global one."""

    by_scope: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def find(self, key: str, scope: str) -> str | None:
        """Return the id of the action that *key* chooses in *scope*, if any."""
        own = self.by_scope.get(scope, {}).get(key)
        return own if own is not None else self.by_scope.get(GLOBAL, {}).get(key)

    @property
    def all_keys(self) -> tuple[str, ...]:
        """Every key that means something anywhere, sorted."""
        return tuple(sorted({key for keys in self.by_scope.values() for key in keys}))


def build(claims: Iterable[KeyClaim], overrides: Mapping[str, tuple[str, ...]]) -> Keymap:
    """Map every claim, with the keys of *overrides* (by action id) in place of its own.

    Raises:
        ConfigError: two actions claim one key in one scope, a key is reserved, or an override
            names no action.
    """
    by_scope: dict[str, dict[str, str]] = {}
    unknown = set(overrides)
    for claim in claims:
        unknown.discard(claim.action_id)
        for key in overrides.get(claim.action_id, claim.keys):
            if key in RESERVED:
                raise ConfigError(f"{claim.action_id}: the key {key} is reserved")
            for scope in claim.scopes:
                _claim(by_scope.setdefault(scope, {}), key, claim.action_id)
    if unknown:
        raise ConfigError(f"no such action: {', '.join(sorted(unknown))}")
    return Keymap(by_scope)


def _claim(keys: dict[str, str], key: str, action_id: str) -> None:
    holder = keys.setdefault(key, action_id)
    if holder != action_id:
        raise ConfigError(f"the key {key} is claimed by both {holder} and {action_id}")


_LABELS = {
    "slash": "/",
    "question_mark": "?",
    "colon": ":",
    "at": "@",
    "plus": "+",
    "escape": "esc",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "space": "space",
    "shift+tab": "⇧tab",
}


def label(key: str) -> str:
    """Return how *key* (Textual's name) is written for people.

    >>> label("slash"), label("ctrl+p"), label("D")
    ('/', '^p', 'D')
    """
    if key in _LABELS:
        return _LABELS[key]
    return "^" + key.removeprefix("ctrl+") if key.startswith("ctrl+") else key
