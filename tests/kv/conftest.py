import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from c101.core.kv.compactor import Compactor
from c101.core.kv.reads import Reads
from c101.core.kv.storage import Storage
from c101.core.kv.store import Store
from tests.kv.held import Held


class HurriedClock:
    """Every look at it finds a second gone: a read that may pause does so at every chance."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now

    async def sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> HurriedClock:
    return HurriedClock()


@pytest.fixture
async def store(tmp_path: Path, clock: HurriedClock) -> AsyncIterator[Store]:
    one = Store(Storage(tmp_path / "kv"), clock)
    yield one
    await one.close()


@pytest.fixture
async def reads(store: Store, clock: HurriedClock) -> Reads:
    return Reads(store, clock)


@pytest.fixture
async def compactor(store: Store, clock: HurriedClock) -> AsyncIterator[Compactor]:
    one = Compactor(store, clock)
    task = asyncio.create_task(one.run())
    yield one
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(monkeypatch)
