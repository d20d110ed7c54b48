"""A unary call on the client's side."""

import asyncio
from typing import TYPE_CHECKING

from c101.core.errors import C101Error
from c101.core.rpc.client_call import ClientCall
from c101.core.rpc.messages import PREFIX_BYTES, unpack_prefix
from c101.core.rpc.status import Code, RpcError

if TYPE_CHECKING:
    from c101.core.rpc.client_connection import ClientConnection


class ClientUnary(ClientCall):
    """A unary call: ``answer`` is its result."""

    __slots__ = ("_message", "answer")

    def __init__(
        self, client: "ClientConnection", method: str, block: bytes, timeout: float | None
    ) -> None:
        super().__init__(client, method, block, timeout)
        self._message: bytes | None = None
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def ask(self, request: bytes) -> None:
        """Send the one message."""
        self.client.send_only(self, request)

    def on_data(self, payload: bytes, flow_bytes: int, end: int) -> None:
        """Take the answer: mostly one message, whole, in one frame."""
        if (
            self._message is None
            and self.inbound is None
            and not end
            and len(payload) == flow_bytes
            and len(payload) >= PREFIX_BYTES
            and unpack_prefix(payload) == (0, len(payload) - PREFIX_BYTES)
        ):
            self._message = payload[PREFIX_BYTES:]
        else:
            super().on_data(payload, flow_bytes, end)

    def on_message(self, message: bytes) -> None:
        """Keep the answer until its status came."""
        self.consumed(message)
        if self._message is None:
            self._message = message
        else:
            self.on_malformed(RpcError(Code.INTERNAL, "a second message in a unary answer"))

    def on_writable(self) -> None:
        """Do nothing: the request is queued whole."""

    def complete(self, error: C101Error | None) -> None:
        """Resolve ``answer``."""
        if self.answer.done():
            return
        if error is not None:
            self.answer.set_exception(error)
        elif self._message is None:
            self.answer.set_exception(RpcError(Code.INTERNAL, "OK without a message"))
        else:
            self.answer.set_result(self._message)
