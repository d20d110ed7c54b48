"""Long work waits for commits: a part of it is done when none needs the loop.

A commit needs the interpreter for moments only, but several times: whoever runs then makes each of
them wait. So a part of a long read, or of its answer, waits for the commit that is on its way; not
longer than ``PATIENCE_SECONDS``, and after each commit it is done: neither starves the other.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Protocol

#: On a disk that takes longer to sync, the commit needs nobody meanwhile.
PATIENCE_SECONDS = 0.001


class Commits(Protocol):
    """What is waited for."""

    @property
    def committing(self) -> bool:
        """Whether something is being made durable, or will be in this turn of the loop."""

    def after_commit(self, then: Callable[[], None]) -> None:
        """Call *then*, which raises nothing, when the next commit is over."""


class Patience:
    """Puts off parts of long work while there are *commits*."""

    def __init__(self, loop: asyncio.AbstractEventLoop, commits: Commits) -> None:
        self._loop = loop
        self._commits = commits
        self._waiting: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def put_off(self, part: Callable[[], None]) -> None:
        """Call *part* in a later turn of the loop."""
        self._loop.call_soon(self._consider, part)

    def _consider(self, part: Callable[[], None]) -> None:
        # Only now: what was read since ``put_off`` may have begun a commit.
        if not self._commits.committing:
            _do(part)
            return
        self._waiting.append(part)
        if self._timer is None:
            self._timer = self._loop.call_later(PATIENCE_SECONDS, self._release)
            self._commits.after_commit(self._release)

    def _release(self) -> None:
        # The commit's end and the timer both call: the second finds nobody, or those that wait
        # for the next commit already, a little early.
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        for part in waiting:
            self._loop.call_soon(_do, part)


def _do(part: Callable[[], None]) -> None:
    # Who was just answered may wait for this processor, up to a tick of the kernel's clock.
    os.sched_yield()
    part()
