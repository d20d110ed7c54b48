"""The client's end: calls over one connection, made when first used and again when it was lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from c101.core.errors import DeadlineExceededError, LinkError
from c101.core.rpc.client_call import NotProcessedError
from c101.core.rpc.client_stream import ClientStream
from c101.core.rpc.client_unary import ClientUnary
from c101.core.rpc.client_wire import ClientWire
from c101.core.rpc.deadlines import Deadlines
from c101.core.rpc.dial import Dialer, TcpDialer, UnixDialer, dialer_for
from c101.core.rpc.header_block import request, timeout_field
from c101.core.rpc.limits import HEADER_BLOCKS_MAX, MIB, Limits

__all__ = ["Channel", "ClientStream", "Dialer", "TcpDialer", "UnixDialer", "dialer_for"]

Metadata = Sequence[tuple[str | bytes, str | bytes]]

#: What a client takes: etcd bounds requests, not answers.
CLIENT_LIMITS: Final = Limits(message_bytes_max=64 * MIB, held_bytes_max=128 * MIB)

#: A link that is not up by then counts as not there.
DIAL_SECONDS: Final = 15.0

#: How long the last bytes of a channel that is closed may take to leave.
CLOSING_SECONDS: Final = 1.0

#: A deadline that is nearer than this is kept exactly.
EXACT_SECONDS: Final = 1.0

#: How often a call is made again that the other side says it has not looked at.
ATTEMPTS_MAX: Final = 3

#: Calls that wait for the server's limit on streams.
WAITING_CALLS_MAX: Final = 10_000


class Channel:
    """Calls to the server that *dialer* reaches, over one connection.

    It connects on first use. When the link is lost, calls in flight fail with CallLostError
    (a LinkLostError that knows whether the request may have been sent) and the next call
    connects again. With *keepalive_seconds*, a link that was silent so long while calls are open
    is probed, and given up when it does not answer.
    """

    def __init__(
        self,
        dialer: Dialer,
        *,
        keepalive_seconds: float | None = None,
        limits: Limits = CLIENT_LIMITS,
    ) -> None:
        self.name = dialer.name
        self._dialer = dialer
        self._keepalive_seconds = keepalive_seconds
        self._limits = limits
        self._wire: ClientWire | None = None
        self._dialling: asyncio.Task[ClientWire] | None = None
        self._retired: set[ClientWire] = set()
        self._waiting = 0
        self._closed = False
        # Heads of calls: those that need not wait have one for each method and time limit.
        self._blocks: dict[tuple[str, Metadata, float | None], bytes] = {}
        self._deadlines: Deadlines | None = None
        parts = urlsplit(dialer.name)
        self._scheme = b"https" if parts.scheme == "https" else b"http"
        self._authority = (parts.netloc.rpartition("@")[2] or "localhost").encode()

    @property
    def connected(self) -> bool:
        """Whether there is a link that takes calls at this moment."""
        return self._wire is not None and self._wire.client.usable

    async def unary(
        self,
        path: str,
        request: bytes,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it goes to the server, too
        metadata: Metadata = (),
    ) -> bytes:
        """Call the unary method *path* and return its answer.

        Raises:
            RpcError: the server answered another status than OK.
            DeadlineExceededError: no answer within *timeout* seconds.
            LinkError: no link can be had; nothing was asked.
            CallLostError: the link ended before the answer came.
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        for attempt in range(1, ATTEMPTS_MAX + 1):
            wire, left = self._wire, timeout
            if attempt > 1 or wire is None or not wire.client.takes_calls:
                wire = await self._ready(path, deadline, timeout)
                left = None if deadline is None else deadline - loop.time()
            block = self._block(path, metadata, left)
            # A call that is alone is written at once: the next turn of the loop brings no other.
            alone = not wire.client.streams
            if alone:
                wire.client.woken = True
            call = ClientUnary(wire.client, path, block, timeout)
            call.ask(request)
            if alone:
                wire.flush()
            release = None if deadline is None else self._time(call, deadline, loop)
            try:
                return await call.answer
            except NotProcessedError:
                if attempt == ATTEMPTS_MAX:
                    raise
            finally:
                call.cancel()
                if release is not None:
                    release()
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _time(
        self, call: ClientUnary, deadline: float, loop: asyncio.AbstractEventLoop
    ) -> Callable[[], None] | None:
        """Have *call* hear of its deadline; return what is to be called when it ends before.

        A deadline that is far is noticed up to ``TICK_SECONDS`` late: most calls end long before.
        """
        left = deadline - loop.time()
        if left < EXACT_SECONDS:
            return loop.call_at(deadline, call.on_deadline).cancel
        if self._deadlines is None:
            self._deadlines = Deadlines(loop)
        bucket = self._deadlines.add(call, left)
        if bucket is None:
            return loop.call_at(deadline, call.on_deadline).cancel
        return partial(bucket.discard, call)

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        metadata: Metadata = (),
        timeout: float | None = None,  # noqa: ASYNC109 - it goes to the server, too
    ) -> AsyncIterator[ClientStream]:
        """Open a call of the streaming method *path*; leaving the block resets it.

        Raises:
            DeadlineExceededError: not open within *timeout* seconds.
            LinkError: no link can be had; nothing was asked.
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        wire = await self._ready(path, deadline, timeout)
        left = None if deadline is None else deadline - loop.time()
        call = ClientStream(wire.client, path, self._block(path, metadata, left), timeout)
        timer = None if deadline is None else loop.call_at(deadline, call.on_deadline)
        try:
            yield call
        finally:
            call.cancel()
            if timer is not None:
                timer.cancel()

    async def ping(self, timeout: float) -> float:  # noqa: ASYNC109 - see Raises
        """Return the time the other side takes to answer a PING, in seconds.

        Raises:
            DeadlineExceededError: no answer within *timeout* seconds.
            LinkError: no link can be had, or it was lost.
        """
        try:
            async with asyncio.timeout(timeout):
                wire = await self._connected()
                return await wire.ping()
        except TimeoutError as error:
            text = f"{self.name} did not answer a ping within {timeout:g} s"
            raise DeadlineExceededError(text) from error

    @property
    def busy(self) -> bool:
        """Whether calls run, on the link or on one that is to close when they have ended."""
        links = (*self._retired, *([self._wire] if self._wire else []))
        return any(link.client.streams for link in links)

    def retire(self) -> None:
        """Take no more calls; the link closes once those that run have ended.

        ``close`` is still due.
        """
        self._closed = True
        if self._dialling is not None:
            self._dialling.cancel()
        if self._wire is not None:
            self._wire.retire()
            self._retired.add(self._wire)
            self._wire = None

    async def close(self) -> None:
        """End every call and close the link; the channel is of no more use."""
        self._closed = True
        if self._deadlines is not None:
            self._deadlines.close()
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.wait([self._dialling])
        wires = [*self._retired, *([self._wire] if self._wire else [])]
        self._retired.clear()
        self._wire = None
        for wire in wires:
            wire.close()
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                for wire in wires:
                    await wire.closed()
        except TimeoutError:
            for wire in wires:
                wire.abort()

    def _block(self, path: str, metadata: Metadata, left: float | None) -> bytes:
        """Return the header block of a call of *path* that has *left* seconds."""
        known = (path, tuple(metadata), left)
        block = self._blocks.get(known)
        if block is None:
            if len(self._blocks) >= HEADER_BLOCKS_MAX:
                self._blocks.clear()
            fields = [(_bytes(name), _bytes(value)) for name, value in metadata]
            block = request(path.encode(), self._authority, self._scheme, fields)
            if left is not None:
                block += timeout_field(left)
            self._blocks[known] = block
        return block

    async def _ready(self, path: str, deadline: float | None, seconds: float | None) -> ClientWire:
        """Return a link that takes one more call."""
        wire = self._wire
        if wire is not None and wire.client.takes_calls:
            return wire
        try:
            async with asyncio.timeout_at(deadline):
                return await self._wait_for_room()
        except TimeoutError as error:
            text = f"{self.name} could not be asked {path} within {seconds:g} s"
            raise DeadlineExceededError(text) from error

    async def _wait_for_room(self) -> ClientWire:
        if self._waiting >= WAITING_CALLS_MAX:
            raise LinkError(f"{WAITING_CALLS_MAX} calls wait for {self.name}")
        self._waiting += 1
        try:
            while True:
                wire = await self._connected()
                if wire.client.has_room:
                    return wire
                await wire.changed.wait()
        finally:
            self._waiting -= 1

    async def _connected(self) -> ClientWire:
        """Return the link; make it when there is none. All who wait share one attempt."""
        if self._closed:
            raise LinkError(f"the channel to {self.name} is closed")
        wire = self._wire
        if wire is not None and wire.client.usable:
            return wire
        if self._dialling is None:
            self._dialling = asyncio.create_task(self._dial(), name=f"dial {self.name}")
            self._dialling.add_done_callback(self._dialled)
        dialling = self._dialling
        try:
            return await asyncio.shield(dialling)
        except asyncio.CancelledError:
            # Either the caller is cancelled, or ``close`` ended the attempt under it.
            task = asyncio.current_task()
            if dialling.cancelled() and task is not None and not task.cancelling():
                raise LinkError(f"the channel to {self.name} was closed") from None
            raise

    def _dialled(self, task: asyncio.Task[ClientWire]) -> None:
        self._dialling = None
        # Read here too, lest a failure that nobody waits for any more be reported as unread.
        if not task.cancelled():
            task.exception()

    async def _dial(self) -> ClientWire:
        if self._wire is not None:
            self._wire.retire()
            self._retired.add(self._wire)
            self._wire = None
        self._retired = {wire for wire in self._retired if wire.transport is not None}
        wire = ClientWire(self.name, self._limits, self._keepalive_seconds)
        self._retired.add(wire)
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                await self._dialer.dial(wire)
                await wire.greeted()
        except TimeoutError as error:
            raise LinkError(f"{self.name} did not answer within {DIAL_SECONDS:g} s") from error
        finally:
            if not wire.client.greeted:
                wire.close()
        self._retired.discard(wire)
        self._wire = wire
        return wire


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
