"""What was asked of this machine that changes it: who asked, for what, and what came of it."""

import logging
import pwd
from collections.abc import Awaitable, Callable
from typing import Any

from c101.core.proto import agent_pb2 as pb
from c101.core.rpc.peer import Peer
from c101.core.rpc.server import UnaryCall, UnaryHandler
from c101.core.rpc.status import RpcError

logger = logging.getLogger(__name__)

#: A request about one unit.
UnitRequest = type[pb.ReloadUnitRequest] | type[pb.ResetFailedUnitRequest]


def who(peer: Peer) -> dict[str, Any]:
    """Return who is at the other end, as the kernel says, and the role of the socket it came by."""
    if peer.uid is None:
        return {"role": peer.role}
    try:
        user = pwd.getpwuid(peer.uid).pw_name
    except KeyError:
        user = str(peer.uid)
    return {"user": user, "role": peer.role}


def recorded(
    method: str, request_type: UnitRequest, answer: Callable[[bytes], Awaitable[bytes]]
) -> UnaryHandler:
    """Make a handler of *answer* that logs each call of *method*, refusals too, by its unit."""

    def handler(call: UnaryCall, message: bytes) -> None:
        async def answered(request: bytes) -> bytes:
            unit = request_type.FromString(request).name
            fields = {**who(call.peer), "method": method, "unit": unit}
            try:
                result = await answer(request)
            except RpcError as error:
                reason = error.message
                logger.warning(
                    "refused", extra={**fields, "code": error.status.name, "reason": reason}
                )
                raise
            logger.info("done", extra=fields)
            return result

        call.task = call.server.spawn(call.run(answered, message), call.method)

    return handler
