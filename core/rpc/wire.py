"""Puts a connection on an asyncio transport: a socket, TLS, or an SSH channel.

Output made during one turn of the loop goes out in one write, at once where the socket takes it:
that, and nothing cleverer, is what makes many small answers cheap.
"""

import asyncio
import os

from c101.core.rpc.connection import Connection
from c101.core.rpc.limits import LAST_WORDS_SECONDS, WRITE_BUFFER_BYTES_MAX


class Wire(asyncio.Protocol):
    """Between a transport and a connection.

    Of the transport only ``write write_eof close abort is_closing pause_reading resume_reading
    get_write_buffer_size set_write_buffer_limits get_extra_info`` are used.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.connection: Connection | None = None
        self._loop = asyncio.get_running_loop()
        self._closing: asyncio.TimerHandle | None = None
        self._reading_paused = False
        self._descriptor = -1
        #: what went through, over all
        self.received_bytes = 0
        self.sent_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start on *transport*."""
        # An asyncssh channel is no asyncio.Transport, but has the methods that are used.
        self.transport = transport  # type: ignore[assignment]
        assert self.transport is not None
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES_MAX)
        self._descriptor = _descriptor_of(self.transport)

    def data_received(self, data: bytes) -> None:
        """Hand *data* to the connection and write what it answers."""
        connection = self.connection
        if connection is not None:
            self.received_bytes += len(data)
            connection.receive(data)
            self.flush()
            if connection.more:
                self.take_turns()

    def take_turns(self) -> None:
        """Read no more until all that was read is taken, a part of it each turn of the loop."""
        if not self._reading_paused and self.transport is not None:
            self._reading_paused = True
            self.transport.pause_reading()
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        connection, transport = self.connection, self.transport
        assert connection is not None
        connection.go_on()
        self.flush()
        if connection.more:
            self._loop.call_soon(self._go_on)
            return
        self._reading_paused = False
        if transport is not None and not transport.is_closing():
            transport.resume_reading()

    def wake(self) -> None:
        """Write what the connection has, at the end of this turn of the loop."""
        self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what the connection has; close the transport behind its last word."""
        connection, transport = self.connection, self.transport
        if connection is None or transport is None:
            return
        output = connection.take_output()
        if output and not transport.is_closing():
            self.sent_bytes += len(output)
            self._write(transport, output)
        if connection.closed:
            self._close(clean=bool(output))
        else:
            self.refill(connection)

    def refill(self, connection: Connection) -> None:
        """Let *connection* make more output."""
        connection.flushed()

    def _write(self, transport: asyncio.Transport, output: bytes) -> None:
        if self._descriptor >= 0 and not transport.get_write_buffer_size():
            try:
                sent = os.write(self._descriptor, output)
            except OSError:
                sent = 0  # the transport finds out the same, and acts on it
            if sent == len(output):
                return
            transport.write(memoryview(output)[sent:])
        else:
            transport.write(output)

    def _close(self, *, clean: bool) -> None:
        """Close the transport, once: *clean* lets what was written leave, for a while."""
        transport = self.transport
        if transport is None or self._closing is not None:
            return
        self._closing = self._loop.call_later(LAST_WORDS_SECONDS, transport.abort)
        if clean:
            transport.close()
        else:
            transport.abort()

    def eof_received(self) -> bool:
        """Close: a peer that sends no more cannot be answered by HTTP/2's rules."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the connection that its transport is gone."""
        self.transport = None
        if self._closing is not None:
            self._closing.cancel()
        if self.connection is not None and not self.connection.closed:
            self.connection.lose(str(exc) if exc else "closed by the other side")

    def pause_writing(self) -> None:
        """Hold the streams back: the transport is full."""
        if self.connection is not None:
            self.connection.pause()

    def resume_writing(self) -> None:
        """Let the streams go on."""
        if self.connection is not None:
            self.connection.resume()


def _descriptor_of(transport: asyncio.Transport) -> int:
    """Return the socket that may be written to beside *transport* while that has nothing to write.

    uvloop puts every write off to a later turn of its loop, which costs each answer that turn and
    the bookkeeping of it. asyncio's own transports write at once; TLS and SSH change the bytes. For
    them it is -1.
    """
    if not type(transport).__module__.startswith("uvloop"):
        return -1
    if transport.get_extra_info("sslcontext") is not None:
        return -1
    descriptor: int = transport.get_extra_info("socket").fileno()
    return descriptor
