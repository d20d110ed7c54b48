"""What time it is at the KV's host: a method of ours beside etcd's, which everybody may call."""

from typing import Final

from c101.core.clock import Clock
from c101.core.proto import agent_pb2
from c101.core.rpc.server import UnaryCall, UnaryHandler

#: Its path. A real etcd does not know it; a front in its place does.
NOW: Final = "/c101.agent.v1.Clock/Now"


def now_handler(clock: Clock) -> UnaryHandler:
    """Return the handler of ``NOW``."""

    def now(call: UnaryCall, _message: bytes) -> None:
        now_us = int(clock.time() * 1e6)
        call.reply(agent_pb2.NowResponse(now_us=now_us).SerializeToString())

    return now
