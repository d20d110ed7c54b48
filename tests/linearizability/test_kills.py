"""Kill -9 under load, again and again: what clients and watches saw is explained by one history.

Eight clients put, read, swap, delete, write in transactions and under leases; watches of every kind
record what comes, one of them slow; history is compacted; our own client follows it all. The server
is killed in the midst of it and started again.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Summary
from tests.linearizability.checker import check
from tests.linearizability.historian import Historian
from tests.linearizability.history import PutAll, written_value
from tests.linearizability.model import StoreModel
from tests.linearizability.rounds import CHECK_SECONDS_MAX, Rounds, wrote
from tests.processes import OwnKVProcess

pytestmark = [pytest.mark.integration, pytest.mark.slow]

KILLS = int(os.environ.get("C101_KILLS", "12"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnKVProcess]:
    server = OwnKVProcess(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.mark.timeout(300 + 20 * KILLS)
async def test_killed_under_load_all_that_was_seen_is_one_history(
    own: OwnKVProcess, summary: Summary
) -> None:
    async with Historian(own.port) as historian:
        rounds = Rounds(own, historian)
        for number in range(KILLS):
            await rounds.round(kill=True, single=number % 3 == 2)
        await rounds.round(kill=False, single=False)
        replay = historian.replay
    counts = ", ".join(f"{count:,} {name}" for name, count in rounds.mix.most_common())
    summary(f"linearizability and watches: {counts}")
    assert rounds.mix["kills"] == KILLS
    for kind in ("Put", "Get", "Delete", "Swap", "PutAll", "Grant", "fragments", "bookmarks"):
        assert rounds.mix[kind] > 0, kind
    assert rounds.mix["compacted watches"] > 0
    # The same history, damaged in one place, has no order any more.
    state, calls = rounds.judged
    number, write = next(
        (number, call)
        for number, call in enumerate(calls)
        if isinstance(call.request, PutAll) and call.outcome is not None and call.outcome.known
    )
    assert write.outcome is not None
    other = next(
        call.outcome.revision
        for call in calls
        if call.outcome is not None
        and call.outcome.revision != write.outcome.revision
        and written_value(call.request)
        and wrote(call.outcome)
    )
    calls[number] = replace(write, outcome=write.outcome._replace(revision=other))
    assert not check(StoreModel(), state, calls, seconds_max=CHECK_SECONDS_MAX).linearizable
    assert replay.revision == rounds.state.revision
