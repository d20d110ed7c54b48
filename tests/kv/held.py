"""A delivery of events that stands still where a test wants it to."""

from collections.abc import Iterator

import pytest

from c101.core.kv import delivery


class Held:
    """A delivery that takes its first step, and others only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._steps: list[Iterator[None]] = []
        monkeypatch.setattr(delivery, "in_turns", self._begin)

    def _begin(self, _loop: object, steps: Iterator[None]) -> None:
        self._steps.append(steps)
        self.step()

    def step(self) -> None:
        """Take the next step."""
        next(self._steps[-1], None)

    def finish(self) -> None:
        """Take all the steps that are left."""
        for _ in self._steps[-1]:
            continue
