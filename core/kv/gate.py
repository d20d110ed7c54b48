"""Who may stage: writes one after the other, also one that takes many turns of the loop.

Most writes are staged within one turn. One that touches very many keys is staged in steps; until it
is through the gate is closed: other writes wait behind it in their order, nothing is handed to the
writer, and so nobody sees, and no commit contains, a part of it. Reads go on.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, TypeVar

from c101.core.kv import refusal
from c101.core.kv.refusal import refuse
from c101.core.rpc.status import RpcError

#: Writes that wait for the gate; one more is refused.
WAITING_MAX = 50_000
#: Writes let in before others get a turn.
WRITES_PER_TURN = 100

_T = TypeVar("_T")


class WriteGate:
    """Lets one write at a time stage; *opened* is called when one that took steps is through."""

    def __init__(self, loop: asyncio.AbstractEventLoop, opened: Callable[[], None]) -> None:
        self._loop = loop
        self._opened = opened
        self._running: tuple[Generator[None, None, Any], Callable[[Any], None]] | None = None
        self._waiting: deque[Callable[[], None]] = deque()
        #: whether a write must wait; it then comes in by ``wait`` or ``perform``
        self.closed = False

    @property
    def staging(self) -> bool:
        """Whether a write is staged in part."""
        return self._running is not None

    def wait(self, write: Callable[[], None]) -> None:
        """Have *write*, which raises nothing, called when it may stage.

        Raises RpcError when too many wait.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise refuse(refusal.TOO_MANY_REQUESTS)
        self._waiting.append(write)

    def perform(
        self, steps: Generator[None, None, _T], finished: Callable[[_T | RpcError], None]
    ) -> None:
        """Run *steps*, which stage, alone; *finished* gets what they return or raise.

        It is done at once if it takes one step and nobody is before it. Raises RpcError when too
        many wait.
        """
        if self.closed:
            self.wait(partial(self._begin, steps, finished))
        else:
            self._begin(steps, finished)

    def _begin(
        self, steps: Generator[None, None, _T], finished: Callable[[_T | RpcError], None]
    ) -> None:
        if not self._step(steps, finished):
            self._running = (steps, finished)
            if not self.closed:
                self.closed = True
                self._loop.call_soon(self._turn)

    @staticmethod
    def _step(steps: Generator[None, None, _T], finished: Callable[[_T | RpcError], None]) -> bool:
        try:
            next(steps)
        except StopIteration as stop:
            finished(stop.value)
            return True
        except RpcError as exc:
            finished(exc)
            return True
        return False

    def _turn(self) -> None:
        running = self._running
        if running is not None and self._step(*running):
            self._running = None
        if self._running is None:
            self._let_in()
        if self._running is not None or self._waiting:
            self._loop.call_soon(self._turn)
        else:
            self.closed = False
        if self._running is None:
            self._opened()

    def _let_in(self) -> None:
        for _ in range(min(len(self._waiting), WRITES_PER_TURN)):
            self._waiting.popleft()()
            if self._running is not None:
                return

    def abort(self, error: RpcError) -> None:
        """Give up what is staged in part, because all that was staged is dropped."""
        if self._running is not None:
            (steps, finished), self._running = self._running, None
            steps.close()
            finished(error)

    def finish(self) -> None:
        """Let everything through that came before, without turns for others."""
        while self.closed:
            self._turn()
