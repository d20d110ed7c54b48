"""Long work between other work: after each short step everybody else has a turn."""

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from c101.core.kv import refusal
from c101.core.kv.refusal import refuse
from c101.core.rpc.status import RpcError

#: Yields where others may have a turn; returns the pieces of the body of an answer.
Steps = Generator[None, None, list[bytes]]
#: Called with the result, or with the error that ended it.
Finished = Callable[[list[bytes] | RpcError], None]

_T = TypeVar("_T")

#: Long reads going on at once; one more is refused.
RUNNING_MAX = 1_000
#: Entries of long lists that are freed before others get a turn.
FREED_PER_STEP = 4_000


class Stepper:
    """Runs generators that yield where they can be interrupted; *put_off* calls back for a step."""

    def __init__(self, put_off: Callable[[Callable[[], None]], None]) -> None:
        self._put_off = put_off
        self._running: deque[
            tuple[Generator[None, None, Any], Callable[[Any], None], Callable[[], bool]]
        ] = deque()
        self._scheduled = False

    @property
    def running(self) -> bool:
        """Whether something is to be gone on with."""
        return bool(self._running)

    def run(
        self,
        steps: Generator[None, None, _T],
        finished: Callable[[_T | RpcError], None],
        cancelled: Callable[[], bool],
    ) -> None:
        """Take the first step at once, the others in turns; stop early when *cancelled* says so.

        *finished* gets what they return or raise. Raises RpcError when too many are running.
        """
        if self._step(steps, finished):
            return
        if len(self._running) >= RUNNING_MAX:
            steps.close()
            raise refuse(refusal.TOO_MANY_REQUESTS)
        self._running.append((steps, finished, cancelled))
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._put_off(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if not self._running:
            return
        steps, finished, cancelled = self._running.popleft()
        if cancelled():
            steps.close()
        elif not self._step(steps, finished):
            self._running.append((steps, finished, cancelled))
        if self._running:
            self._schedule()

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

    def close(self) -> None:
        """Give up what is running."""
        while self._running:
            self._running.popleft()[0].close()


def in_turns(loop: asyncio.AbstractEventLoop, steps: Iterator[None]) -> None:
    """Take the first of *steps*, which raise nothing, at once and one more in each turn."""
    for _ in steps:
        loop.call_soon(in_turns, loop, steps)
        return


def free_in_steps(*lists: list[Any]) -> Iterator[None]:
    """Empty *lists* that are long: to free all of a large commit at once would take long, too."""
    for done in lists:
        while len(done) > FREED_PER_STEP:
            del done[-FREED_PER_STEP:]
            yield
