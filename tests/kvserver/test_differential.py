"""The same random requests to ours and to a real etcd: the same answers, byte for byte but for ids.

Not drawn, because etcd 3.4 differs from later ones that we follow there: unknown sort options,
watches with a negative start, requests for progress, watches that start at a compact revision.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from c101.core.proto import rpc_pb2
from tests.conftest import Summary
from tests.kvserver.operations import (
    NUMBER_BYTES,
    Operation,
    history_watch,
    parse_script,
    read_operation,
    script,
)
from tests.kvserver.pair import Pair
from tests.kvserver.processes import HAVE_ETCD, Etcd, Ours
from tests.kvserver.reduction import reduced
from tests.kvserver.side import Side, Watches

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here"),
]

#: Random sequences to compare; ``make fuzz`` asks for many more.
SEQUENCES = int(os.environ.get("C101_FUZZ_SEQUENCES", "2000"))
OPERATIONS_MIN, OPERATIONS_MAX = 30, 36
#: Very generous: some 50 ms each where nothing else runs.
SECONDS_MAX = 300 + SEQUENCES
REPLAY = "to see it again: python -m tests.kvserver.replay"

#: One sequence in so many has a watch of history, which a real etcd takes 100 ms to begin.
HISTORY_ONCE_IN = 8

_operations = st.binary(min_size=NUMBER_BYTES, max_size=NUMBER_BYTES).map(
    lambda number: read_operation(int.from_bytes(number, "little"))
)
_sequences = st.builds(
    lambda operations, digit: [*([] if digit else [history_watch()]), *operations],
    st.lists(_operations, min_size=OPERATIONS_MIN, max_size=OPERATIONS_MAX),
    st.integers(0, HISTORY_ONCE_IN - 1),
)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    """A directory in memory where there is one: that nothing is lost is shown elsewhere."""
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def ours(memory: Path) -> Iterator[Ours]:
    process = Ours(memory / "ours")
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def etcd(memory: Path) -> Iterator[Etcd]:
    process = Etcd(memory / "etcd")
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def pair(ours: Ours, etcd: Etcd, runner: asyncio.Runner) -> Iterator[Pair]:
    stack = AsyncExitStack()
    yield runner.run(stack.enter_async_context(Pair.of(ours.port, etcd.port)))
    runner.run(stack.aclose())


def difference_of(pair: Pair, runner: asyncio.Runner, sequences: int) -> str:
    """Compare so many random sequences.

    Return the first difference, with the smallest script that shows it; empty when there is none.
    """
    differing: list[Operation] | None = None

    # Not shrunk by hypothesis: what is known of requests makes them smaller in fewer attempts.
    @settings(
        max_examples=sequences,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(_sequences)
    def compare(sequence: list[Operation]) -> None:
        nonlocal differing
        difference = runner.run(pair.compare(sequence))
        if difference:
            differing = sequence
        assert not difference, difference

    try:
        compare()
    except AssertionError as exc:
        assert differing is not None
        smallest = reduced(differing, lambda some: bool(runner.run(pair.compare(some))))
        difference = runner.run(pair.compare(smallest)) or f"seen once, and not again: {exc}"
        return f"{difference}\n\n{REPLAY} <<'END'\n{script(smallest)}END"
    return ""


@pytest.mark.timeout(SECONDS_MAX)
def test_random_requests_get_the_answers_of_a_real_etcd(
    pair: Pair, runner: asyncio.Runner, summary: Summary
) -> None:
    difference = difference_of(pair, runner, SEQUENCES)
    counts = ", ".join(f"{count:,} {name}" for name, count in pair.mix.most_common())
    summary(f"compared with a real etcd: {counts}")
    assert not difference, difference
    assert pair.mix["random operations"] >= 30 * SEQUENCES


class Liar(Side):
    """A server that never says that there is more."""

    async def _ask(self, operation: Operation, watches: Watches | None) -> Message:
        answer = await super()._ask(operation, watches)
        if isinstance(answer, rpc_pb2.RangeResponse):
            answer.more = False
        return answer


def test_a_difference_is_reduced_to_a_script_that_shows_it_again(
    memory: Path, runner: asyncio.Runner
) -> None:
    servers = [Ours(memory / name) for name in ("honest", "liar")]
    stack = AsyncExitStack()
    try:
        for server in servers:
            server.start()
        honest, liar = (
            runner.run(stack.enter_async_context(kind.of(server.port)))
            for kind, server in zip((Side, Liar), servers, strict=True)
        )
        pair = Pair(honest, liar)
        difference = difference_of(pair, runner, 100)
        assert "more: true" in difference
        found = parse_script(difference.partition("<<'END'\n")[2].removesuffix("END"))
        assert "KV/Range" in {operation.path for operation in found}
        assert runner.run(pair.compare(found))
        for number in range(len(found)):
            assert not runner.run(pair.compare(found[:number] + found[number + 1 :]))
    finally:
        runner.run(stack.aclose())
        for server in servers:
            server.stop()
