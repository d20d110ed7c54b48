"""grpc.health.v1.Health: whether this server serves. As with etcd the one name it knows is ""."""

import asyncio
from collections.abc import Mapping

from c101.core.kvserver.context import Context, parse
from c101.core.proto import health_pb2
from c101.core.rpc.server import ServerStream, StreamHandler, UnaryCall, UnaryHandler
from c101.core.rpc.status import Code, RpcError

_Response = health_pb2.HealthCheckResponse


class HealthService:
    """The health of a store: it serves until its disk has failed. An alarm changes nothing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._admission = context.store.admission

    def handlers(self) -> Mapping[str, UnaryHandler]:
        """Return the handlers of unary calls by path."""
        return {"/grpc.health.v1.Health/Check": self.check}

    def stream_handlers(self) -> Mapping[str, StreamHandler]:
        """Return the handlers of streams by path."""
        return {"/grpc.health.v1.Health/Watch": self.watch}

    def check(self, call: UnaryCall, message: bytes) -> None:
        """Tell whether the server serves; raise NOT_FOUND for a name it does not know."""
        if parse(health_pb2.HealthCheckRequest, message).service:
            raise RpcError(Code.NOT_FOUND, "unknown service")
        call.reply(self._status())

    def _status(self) -> bytes:
        failed = self._admission.failed.is_set()
        status = _Response.NOT_SERVING if failed else _Response.SERVING
        return _Response(status=status).SerializeToString()

    async def watch(self, stream: ServerStream) -> None:
        """Tell it at once, and again when it changes, until the caller leaves."""
        self._context.streams.add(stream)
        try:
            async for message in stream:
                if parse(health_pb2.HealthCheckRequest, message).service:
                    unknown = _Response(status=_Response.SERVICE_UNKNOWN)
                    stream.send(unknown.SerializeToString())
                else:
                    stream.send(self._status())
                    if not self._admission.failed.is_set():
                        await self._admission.failed.wait()
                        stream.send(self._status())
                # Nothing changes any more; what ends is the stream.
                await asyncio.Event().wait()
        finally:
            self._context.streams.discard(stream)
