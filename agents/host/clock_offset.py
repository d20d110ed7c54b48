"""How far this machine's clock is from that of the KV's host: looked at once a minute."""

import logging

from c101.core.clock import Clock
from c101.core.errors import C101Error
from c101.core.etcd.client import Client
from c101.core.etcd.errors import KVError
from c101.core.kvserver.clock import NOW
from c101.core.proto import agent_pb2
from c101.core.rpc.status import Code

PERIOD_SECONDS = 60.0
#: After a question that nobody answered.
RETRY_SECONDS = 5.0
#: Further apart than this, logs of two machines cannot be read side by side.
SECONDS_MAX = 1.0
#: The answer that comes soonest says it most exactly.
_QUESTIONS = 3
_WRONG = "the clock here differs from that of the KV's host"
_RIGHT = "the clock here is again that of the KV's host"

logger = logging.getLogger(__name__)


async def clock_offset(client: Client, clock: Clock) -> float | None:
    """Return by how many seconds *clock* is ahead of the KV's, to half the way to it and back.

    ``None`` where the KV does not say: an etcd by itself does not. Raises what *client* raises.
    """
    found: list[tuple[float, float]] = []
    for _ in range(_QUESTIONS):
        began, before = clock.monotonic(), clock.time()
        try:
            answer = await client.call(NOW, agent_pb2.NowRequest(), agent_pb2.NowResponse)
        except KVError as exc:
            if exc.status is Code.UNIMPLEMENTED:
                return None
            raise
        taken = clock.monotonic() - began
        found.append((taken, before + taken / 2 - answer.now_us / 1e6))
    return min(found)[1]


class ClockOffset:
    """``seconds`` is how far this clock is ahead; ``None`` while that is not known."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.seconds: float | None = None
        self._client = client
        self._clock = clock
        self._is_wrong = False

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            pause = PERIOD_SECONDS
            try:
                self.seconds = await clock_offset(self._client, self._clock)
            except C101Error:
                # What was found is told of no more: clocks jump, and machines sleep.
                self.seconds = None
                pause = RETRY_SECONDS
            self._say()
            await self._clock.sleep(pause)

    def _say(self) -> None:
        """Log a clock that goes wrong once, and that it is right again."""
        if self.seconds is None:
            return
        is_wrong = abs(self.seconds) > SECONDS_MAX
        if is_wrong != self._is_wrong:
            self._is_wrong = is_wrong
            fields = {"seconds_ahead": round(self.seconds, 3)}
            logger.warning(_WRONG if is_wrong else _RIGHT, extra=fields)
