"""Passwords: hashed and compared by bcrypt, which takes some 50 ms: on threads, never the loop."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import bcrypt

from c101.core.kv import refusal
from c101.core.kv.refusal import refuse

#: The default of etcd; each step more doubles the time.
BCRYPT_COST: Final = 10
#: bcrypt looks no further. etcd 3.4 takes longer passwords and ignores the rest, and so do we: a
#: user who is in a snapshot of one can authenticate with the other.
PASSWORD_BYTES_MAX: Final = 72
#: Hashes asked for and not done; one more is refused.
WAITING_MAX: Final = 100
#: Threads that hash: half of the processors, so that a flood leaves the loop and the disk theirs.
THREADS_MAX: Final = 4

#: What Go's bcrypt, and so etcd, calls its format.
_PREFIX: Final = b"2a"
#: A hash of nothing that anybody could give: whether a user exists is not to be told by time.
_NOBODYS: Final = b"$2a$10$" + b"." * 53

_T = TypeVar("_T")


class Passwords:
    """Hashes for the loop that is running, a bounded number at a time."""

    def __init__(self) -> None:
        threads = max(1, min(THREADS_MAX, (os.cpu_count() or 1) // 2))
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="kv-password")
        self._waiting = 0

    async def hash(self, password: str) -> bytes:
        """Return the hash of *password* to keep. Raises RpcError when too many wait."""
        return await self._run(_hash, password.encode())

    async def matches(self, password: str, hashed: bytes | None) -> bool:
        """Say whether *hashed* is of *password*; ``None`` is of none, and takes as long.

        Raises RpcError when too many wait.
        """
        return await self._run(_matches, password.encode(), hashed)

    async def _run(self, work: Callable[..., _T], *arguments: object) -> _T:
        if self._waiting >= WAITING_MAX:
            raise refuse(refusal.TOO_MANY_REQUESTS)
        self._waiting += 1
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._pool, work, *arguments)
        running.add_done_callback(self._done)
        # A call that went away keeps its place: else who cancels could queue without a bound.
        return await asyncio.shield(running)

    def _done(self, running: asyncio.Future[_T]) -> None:
        self._waiting -= 1
        if not running.cancelled():
            # Of a call that went away nobody else asks.
            running.exception()

    def close(self) -> None:
        """Give up what waits, and end the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _hash(password: bytes) -> bytes:
    salt = bcrypt.gensalt(BCRYPT_COST, prefix=_PREFIX)
    return bcrypt.hashpw(password[:PASSWORD_BYTES_MAX], salt)


def _matches(password: bytes, hashed: bytes | None) -> bool:
    try:
        return bcrypt.checkpw(password[:PASSWORD_BYTES_MAX], hashed or _NOBODYS) and bool(hashed)
    except ValueError:
        # What is kept is no hash: it came so from elsewhere, and nobody has its password.
        return False
