"""Simple tokens: who holds one is the user it was given to, until it is not used for a while.

They live in memory: after a restart clients authenticate anew, as their libraries do by themselves.
"""

import secrets
from string import ascii_letters
from typing import Final

from c101.core.clock import Clock

#: A token that is not used for this long ends, as etcd's do by default.
TOKEN_TTL_SECONDS: Final = 300.0
#: With one more the token that was unused for longest ends. Each took a bcrypt to get.
TOKENS_MAX: Final = 30_000
_LETTERS: Final = 16


class Tokens:
    """The tokens of a store.

    They lie in a dict, so a token is found by its hash, which nobody outside can foresee, and time
    tells nothing of how much of a guess was right. All last equally long, so the dict, into which
    a token that is used is put anew, has the next to end first.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: user and, on the monotonic clock, when it ends
        self._tokens: dict[str, tuple[str, float]] = {}
        self._made = 0

    def __len__(self) -> int:
        return len(self._tokens)

    def assign(self, user: str) -> str:
        """Return a new token of *user*: sixteen random letters, a dot, a number."""
        self._drop_ended()
        if len(self._tokens) >= TOKENS_MAX:
            del self._tokens[next(iter(self._tokens))]
        self._made += 1
        letters = "".join(secrets.choice(ascii_letters) for _ in range(_LETTERS))
        token = f"{letters}.{self._made}"
        self._tokens[token] = (user, self._clock.monotonic() + TOKEN_TTL_SECONDS)
        return token

    def user_of(self, token: str) -> str | None:
        """Return whose *token* is, and let it last its whole time again; ``None`` for nobody's."""
        self._drop_ended()
        found = self._tokens.pop(token, None)
        if found is None:
            return None
        user, _ = found
        self._tokens[token] = (user, self._clock.monotonic() + TOKEN_TTL_SECONDS)
        return user

    def log_out(self, user: str) -> None:
        """End every token of *user*."""
        for token in [token for token, (whose, _) in self._tokens.items() if whose == user]:
            del self._tokens[token]

    def clear(self) -> None:
        """End every token."""
        self._tokens.clear()

    def _drop_ended(self) -> None:
        now = self._clock.monotonic()
        tokens = self._tokens
        while tokens:
            first = next(iter(tokens))
            if tokens[first][1] > now:
                return
            del tokens[first]
