"""The keeper's event loop: poll(2), named timers, signals; as little as that takes."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found,unused-ignore]  # signal itself loads enum
import posix
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_WAKEUP_BYTES = 512


class Loop:
    """Calls handlers for readable descriptors, for timers that are due, and for signals."""

    def __init__(self) -> None:
        """Take over SIGCHLD and SIGTERM; SIGINT and SIGHUP are ignored from here on."""
        self._poll = select.poll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._timers: dict[Hashable, tuple[float, Callable[[], None]]] = {}
        self._signals: dict[int, Callable[[], None]] = {}
        self._wakeup, write_end = posix.pipe2(posix.O_NONBLOCK | posix.O_CLOEXEC)
        _signal.set_wakeup_fd(write_end)
        for ignored in (_signal.SIGINT, _signal.SIGHUP, _signal.SIGPIPE):
            _signal.signal(ignored, _signal.SIG_IGN)
        self.watch(self._wakeup, self._signalled)
        self.running = True

    def on_signal(self, number: int, handler: Callable[[], None]) -> None:
        """Call *handler* from the loop, never in between, after signal *number*."""
        self._signals[number] = handler
        _signal.signal(number, lambda _number, _frame: None)

    def watch(self, fd: int, handler: Callable[[], None]) -> None:
        """Call *handler* whenever *fd* is readable or at its end."""
        self._readers[fd] = handler
        self._poll.register(fd, select.POLLIN)

    def unwatch(self, fd: int) -> None:
        """Stop watching *fd*; harmless when it is not watched."""
        if self._readers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def after(self, seconds: float, name: Hashable, callback: Callable[[], None]) -> None:
        """Call *callback* once in *seconds*; replaces the timer of the same name."""
        self._timers[name] = (time.monotonic() + seconds, callback)

    def cancel(self, name: Hashable) -> None:
        """Forget the timer *name*; harmless without one."""
        self._timers.pop(name, None)

    def has_timer(self, name: Hashable) -> bool:
        """Say whether the timer *name* is set."""
        return name in self._timers

    def turn(self) -> None:
        """Wait for something to happen, and handle it."""
        for fd, _ in self._poll.poll(self._wait_ms()):
            handler = self._readers.get(fd)
            if handler is not None:
                handler()
        now = time.monotonic()
        for name in [name for name, (due, _) in self._timers.items() if due <= now]:
            timer = self._timers.pop(name, None)
            if timer is not None:
                timer[1]()

    def _wait_ms(self) -> int | None:
        if not self._timers:
            return None
        soonest = min(due for due, _ in self._timers.values())
        # Rounded up: a timer that is not quite due would make the loop turn in vain.
        return max(0, int((soonest - time.monotonic()) * 1000) + 1)

    def _signalled(self) -> None:
        try:
            numbers = posix.read(self._wakeup, _WAKEUP_BYTES)
        except BlockingIOError:
            return
        for number in set(numbers):
            handler = self._signals.get(number)
            if handler is not None:
                handler()
