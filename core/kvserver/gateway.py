"""The JSON gateway: etcd's API over HTTP/1.1, as etcd 3.4 offers it.

A request is translated, sent through the RPC as a client's would be, and its answer translated
back. Limits, authentication and metadata thereby hold without a second way to the store. Each
HTTP connection has an RPC connection of its own, which carries its peer's identity and ends with
it: what one client does not read is no other's concern.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import unquote

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from c101.core.clock import Clock
from c101.core.errors import C101Error, DeadlineExceededError, LinkError
from c101.core.kvserver import gateway_errors as errors
from c101.core.kvserver.gateway_metadata import metadata_of, timeout_of
from c101.core.kvserver.gateway_paths import METHODS, PREFIXES, Method
from c101.core.kvserver.json_decoder import decode, parse_json
from c101.core.kvserver.json_encoder import encode_pieces
from c101.core.kvserver.json_reader import JsonReader
from c101.core.kvserver.json_scanner import JsonError
from c101.core.rpc.channel import Channel, ClientStream
from c101.core.rpc.http1.connection import Http1Connection
from c101.core.rpc.http1.exchange import Exchange
from c101.core.rpc.http1.response import JSON, HttpResponse, text_response
from c101.core.rpc.peer import Peer
from c101.core.rpc.server import Server
from c101.core.rpc.status import Code, RpcError

logger = logging.getLogger(__name__)

#: JSON sent at once; a longer answer leaves in chunks of about this size.
SEND_CHARACTERS: Final = 65_536
#: Pieces of an answer that are made before others get a turn.
PIECES_PER_STEP: Final = 200

_NOT_FOUND: Final = text_response(404, "Not Found")
_METHOD_NOT_ALLOWED: Final = text_response(405, "Method Not Allowed")


class Gateway:
    """Answers what comes to a path under ``/v3/``. *server* is where the calls go."""

    def __init__(self, server: Server, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._channels: dict[Http1Connection, Channel] = {}

    @staticmethod
    def serves(path: str) -> bool:
        """Say whether *path* is one of the gateway's, known to it or not."""
        return path.startswith(PREFIXES)

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request."""
        path = unquote(exchange.request.path)
        prefix = next(prefix for prefix in PREFIXES if path.startswith(prefix))
        method = METHODS.get(path[len(prefix) :])
        if method is None:
            await exchange.respond(_NOT_FOUND)
        elif exchange.request.method != "POST":
            await exchange.respond(_METHOD_NOT_ALLOWED)
        else:
            await _Call(self, exchange, method).answer()

    def channel(self, connection: Http1Connection) -> Channel:
        """Return the RPC connection of an HTTP connection, made when first asked for."""
        channel = self._channels.get(connection)
        if channel is None:
            # As in etcd, whose gateway shows its own certificate: the caller's names no user.
            peer = replace(connection.peer, common_name="")
            channel = Channel(_InProcessDialer(self._server, peer))
            self._channels[connection] = channel
            connection.at_close(lambda: self._close(connection))
        return channel

    def _close(self, connection: Http1Connection) -> None:
        channel = self._channels.pop(connection)
        self._server.service.spawn(channel.close(), "close gateway channel")

    async def give_turn(self) -> None:
        """Let others have a turn of the loop."""
        await self._clock.sleep(0)


class _InProcessDialer:
    """Reaches *server* over a pair of sockets, as *peer*."""

    def __init__(self, server: Server, peer: Peer) -> None:
        self.name = "unix://gateway"
        self._server = server
        self._peer = peer

    async def dial(self, protocol: asyncio.Protocol) -> None:
        """Connect (``Dialer``)."""
        loop = asyncio.get_running_loop()
        try:
            near, far = socket.socketpair()
        except OSError as error:
            raise LinkError(f"the gateway has no sockets left: {error.strerror}") from error
        try:
            await loop.connect_accepted_socket(lambda: self._server.protocol(self._peer), far)
        except BaseException:
            near.close()
            raise
        await loop.create_unix_connection(lambda: protocol, sock=near)


class _Call:
    """One request on its way through the RPC."""

    def __init__(self, gateway: Gateway, exchange: Exchange, method: Method) -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._method = method
        self._requests = JsonReader(exchange, gateway.give_turn, patient=method.streams_requests)
        self._begun = False

    async def answer(self) -> None:
        """Make the call and answer with what comes of it."""
        request = self._exchange.request
        try:
            timeout = timeout_of(request)
            first = await self._next_request()
        except JsonError as error:
            # A stream of requests fails in the sending, which has no code of its own.
            code = Code.UNKNOWN if self._method.streams_requests else Code.INVALID_ARGUMENT
            await self._exchange.respond(errors.unary_error(code, str(error)))
            return
        except RpcError as error:
            await self._exchange.respond(errors.unary_error(error.status, error.message))
            return
        channel = self._gateway.channel(self._exchange.connection)
        metadata = metadata_of(request)
        message = None if first is None else first.SerializeToString()
        if self._method.streams_responses:
            try:
                async with channel.stream(
                    self._method.rpc, timeout=timeout, metadata=metadata
                ) as stream:
                    await self._stream(stream, message)
            except C101Error as error:
                await self._end_stream(error)
            return
        try:
            answer = await channel.unary(
                self._method.rpc, message or b"", timeout=timeout, metadata=metadata
            )
        except C101Error as error:
            await self._exchange.respond(errors.unary_error(*_status(error)))
        else:
            await self._send_whole(answer)

    async def _next_request(self) -> Message | None:
        """Return the next request of the body, ``None`` at its end."""
        value = await self._requests.next_value()
        if value is None:
            return None
        message = GetMessageClass(self._method.request)()
        decode(message, parse_json(value))
        return message

    # ---- one answer ----

    async def _send_whole(self, answer: bytes) -> None:
        """Send a single answer: with its length when it is short, else as it is made."""
        exchange = self._exchange
        async for text, last in self._texts(encode_pieces(self._method.response, answer)):
            if last and not self._begun:
                await exchange.respond(HttpResponse(body=text.encode()))
                return
            await self._send(text)

    async def _texts(self, pieces: Iterator[str]) -> AsyncIterator[tuple[str, bool]]:
        """Join *pieces* to texts worth sending; say of each whether it is the last."""
        gathered: list[str] = []
        characters = 0
        for number, piece in enumerate(pieces, 1):
            gathered.append(piece)
            characters += len(piece)
            if characters >= SEND_CHARACTERS:
                yield "".join(gathered), False
                gathered, characters = [], 0
                await self._gateway.give_turn()
            elif not number % PIECES_PER_STEP:
                await self._gateway.give_turn()
        yield "".join(gathered), True

    async def _send(self, text: str) -> None:
        if not self._begun:
            self._begun = True
            await self._exchange.begin(200, JSON)
        await self._exchange.send(text.encode())

    # ---- a stream of answers ----

    async def _stream(self, stream: ClientStream, first: bytes | None) -> None:
        if not self._method.streams_requests:
            stream.send(first or b"")
            stream.end()
            await self._send_results(stream)
            return
        if first is not None:
            stream.send(first)
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._send_requests(stream), name="gateway requests")
                await self._send_results(stream)
                sending.cancel()
        except BaseExceptionGroup as group:
            # One of the two failed, which ended the other.
            raise group.exceptions[0] from None

    async def _send_requests(self, stream: ClientStream) -> None:
        """Send the requests that follow the first, as they come."""
        try:
            while (message := await self._next_request()) is not None:
                stream.send(message.SerializeToString())
                await stream.drain()
                # One piece of a body may hold thousands of requests.
                await self._gateway.give_turn()
        except JsonError:
            # What was understood is being answered: that is not taken back. So does etcd.
            logger.debug("a stream of requests ended in what is no request")
        stream.end()

    async def _send_results(self, stream: ClientStream) -> None:
        async for message in stream:
            before = '{"result":'
            pieces = encode_pieces(self._method.response, message)
            async for text, last in self._texts(pieces):
                await self._send(before + text + ("}\n" if last else ""))
                before = ""
        if not self._begun:
            await self._exchange.respond(HttpResponse())

    async def _end_stream(self, error: C101Error) -> None:
        status, message = _status(error)
        if self._begun:
            await self._exchange.send(errors.stream_error(status, message))
        elif isinstance(error, RpcError):
            await self._exchange.respond(errors.first_stream_error(status, message))
        else:
            # The RPC itself said nothing: then etcd's answer is that of a call, not of a stream.
            await self._exchange.respond(errors.unary_error(status, message))


def _status(error: C101Error) -> tuple[Code, str]:
    """Return the code and the text of a call that failed."""
    match error:
        case RpcError():
            return error.status, error.message
        case DeadlineExceededError():
            return Code.DEADLINE_EXCEEDED, "context deadline exceeded"
        case _:
            return Code.UNAVAILABLE, str(error)
