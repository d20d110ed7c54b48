"""How many connect through one jump host at a time.

Its sshd drops connections beyond ten that are not logged in yet (sshd_config: MaxStartups
10:30:100), and all that go through it begin with one to it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

#: Fewer than sshd takes: somebody else may want in, too.
AT_ONCE = 8

_gates: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Semaphore]]" = (
    WeakKeyDictionary()
)


@asynccontextmanager
async def jump_gate(jump: object) -> AsyncIterator[None]:
    """Wait for one's turn at *jump*, a ProxyJump's value; anything else is none."""
    if not isinstance(jump, str) or not jump:
        yield
        return
    gates = _gates.setdefault(asyncio.get_running_loop(), {})
    async with gates.setdefault(jump.partition(",")[0], asyncio.Semaphore(AT_ONCE)):
        yield
