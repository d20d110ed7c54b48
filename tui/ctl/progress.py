"""How far long work is, on standard error: for whoever waits, and not for scripts."""

import sys
from types import TracebackType
from typing import Self

from c101.core.clock import Clock

#: Work that is done sooner is not told of.
SILENT_SECONDS = 1.0
#: On a terminal the line is written anew so often; elsewhere each is a line of its own, and rarer.
TERMINAL_SECONDS = 0.2
LINE_SECONDS = 5.0


class Progress:
    """``with Progress(...) as progress``: then call it with what is done, and of how much.

    *shown* is false where nobody wants to know: with ``-o json``.
    """

    def __init__(self, what: str, clock: Clock, *, shown: bool) -> None:
        self._what = what
        self._clock = clock
        self._shown = shown
        self._terminal = sys.stderr.isatty()
        self._next = clock.monotonic() + SILENT_SECONDS
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._open:
            sys.stderr.write("\n")
            sys.stderr.flush()

    def __call__(self, done: int, of: int) -> None:
        """Tell it, if it is time."""
        now = self._clock.monotonic()
        if not self._shown or now < self._next:
            return
        self._next = now + (TERMINAL_SECONDS if self._terminal else LINE_SECONDS)
        text = f"{self._what}: {100 * done // of if of else 100} %"
        sys.stderr.write(f"\r{text}" if self._terminal else f"{text}\n")
        sys.stderr.flush()
        self._open = self._terminal
