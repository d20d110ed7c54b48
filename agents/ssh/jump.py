"""Jump hosts: which there are, and how many connect through one at a time.

Its sshd drops connections beyond ten that are not logged in yet (sshd_config: MaxStartups
10:30:100), and all that go through it begin with one to it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

#: Fewer than sshd takes: somebody else may want in, too.
AT_ONCE = 8
#: More hosts in a row lead in a circle: ``Host *`` with a ProxyJump, for one.
HOPS_MAX = 8

_gates: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Semaphore]]" = (
    WeakKeyDictionary()
)


@dataclass(frozen=True, slots=True)
class Hop:
    """One of the hosts of a ProxyJump; what is ``None`` the configuration says."""

    host: str
    user: str | None = None
    port: int | None = None


def parse_jump(jump: object) -> list[Hop]:
    """Read a ProxyJump's value, ``[user@]host[:port],...``; anything but text is none.

    Raises ValueError.
    """
    if not isinstance(jump, str) or not jump:
        return []
    return [_hop(text) for text in jump.removeprefix("ssh://").split(",")]


def _hop(text: str) -> Hop:
    user, _, place = text.strip().rpartition("@")
    host, bracket, rest = place.removeprefix("[").partition("]")
    if bracket:
        port = rest.removeprefix(":")
    elif place.count(":") == 1:
        host, _, port = place.partition(":")
    else:
        host, port = place, ""
    return Hop(host, user or None, int(port) if port else None)


@asynccontextmanager
async def jump_gate(jump: object) -> AsyncIterator[None]:
    """Wait for one's turn at *jump*, a ProxyJump's value; anything else is none."""
    if not isinstance(jump, str) or not jump:
        yield
        return
    gates = _gates.setdefault(asyncio.get_running_loop(), {})
    async with gates.setdefault(jump.partition(",")[0], asyncio.Semaphore(AT_ONCE)):
        yield
