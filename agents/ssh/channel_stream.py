"""An asyncssh channel dressed as what asyncio promises a protocol: a transport.

asyncssh's channel has the names but not all of the promises: writing to a channel that is closing
raises, an abort waits for the other side, and an exception in a protocol ends the whole connection
with every other channel on it.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import asyncssh

from c101.agents.ssh.printable import printable
from c101.core.errors import LinkLostError

#: Kept of what the far command says on its standard error.
COMPLAINT_BYTES_MAX = 4_096


class ChannelTransport(asyncio.Transport):
    """The transport of one session channel."""

    def __init__(
        self, channel: "asyncssh.SSHClientChannel[bytes]", aborted: Callable[[], None]
    ) -> None:
        super().__init__()
        self._channel = channel
        self._aborted = aborted
        self._reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data*; once the channel is closing it is dropped, as asyncio has it."""
        if data and not self._channel.is_closing():
            self._channel.write(bytes(data))

    def write_eof(self) -> None:
        """Half-close."""
        if not self._channel.is_closing():
            self._channel.write_eof()

    def can_write_eof(self) -> bool:
        """Say that half-closing works."""
        return True

    def close(self) -> None:
        """Send what is buffered, then close."""
        self._channel.close()

    def abort(self) -> None:
        """Close at once; the protocol hears of it in the next turn of the loop."""
        self._channel.abort()
        self._aborted()

    def is_closing(self) -> bool:
        """Say whether writing is over."""
        return self._channel.is_closing()

    def pause_reading(self) -> None:
        """Stop giving the protocol data: at most a window's worth then waits here."""
        self._reading = False
        self._channel.pause_reading()

    def resume_reading(self) -> None:
        """Go on giving the protocol data."""
        self._reading = True
        self._channel.resume_reading()

    def is_reading(self) -> bool:
        """Say whether data is being given."""
        return self._reading

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait for the far window."""
        return self._channel.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say when the protocol is to pause writing, in bytes waiting."""
        self._channel.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the channel or its connection knows by *name* (``peername`` …)."""
        return self._channel.get_extra_info(name, default)


class ChannelSession(asyncssh.SSHClientSession[bytes]):
    """Between a channel and the protocol at its near end."""

    def __init__(self, protocol: asyncio.Protocol, host: str) -> None:
        self._protocol = protocol
        self._host = host
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._loop = asyncio.get_running_loop()
        self._started = False
        self._ended = False
        self._abandoned = False
        self._complaint = b""
        self._exit = ""

    def abandon(self) -> None:
        """Close the channel as soon as there is one: nobody waits for it any more."""
        self._abandoned = True
        if self._channel is not None:
            self._channel.abort()

    def connection_made(self, chan: "asyncssh.SSHClientChannel[bytes]") -> None:
        """Keep the channel; the command does not run yet."""
        self._channel = chan

    def session_started(self) -> None:
        """Give the protocol its transport: the command runs."""
        assert self._channel is not None
        if self._abandoned:
            self._channel.abort()
            return
        self._started = True
        transport = ChannelTransport(self._channel, self._end_soon)
        self._guarded(lambda: self._protocol.connection_made(transport))

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Give the protocol what the command printed; keep a little of what it complained of."""
        if datatype is not None:
            self._complaint = (self._complaint + data)[:COMPLAINT_BYTES_MAX]
        elif self._started and not self._ended:
            self._guarded(lambda: self._protocol.data_received(data))

    def eof_received(self) -> bool:
        """Ask the protocol whether its own half stays open."""
        if self._started and not self._ended:
            stays = self._guarded(self._protocol.eof_received)
            if not stays and self._channel is not None:
                self._channel.close()
        return True

    def pause_writing(self) -> None:
        """Tell the protocol to hold back."""
        if self._started and not self._ended:
            self._guarded(self._protocol.pause_writing)

    def resume_writing(self) -> None:
        """Tell the protocol to go on."""
        if self._started and not self._ended:
            self._guarded(self._protocol.resume_writing)

    def exit_status_received(self, status: int) -> None:
        """Keep the command's exit status, unless it is 0."""
        self._exit = f"it ended with status {status}" if status else ""

    def exit_signal_received(self, signal: str, *_about: object) -> None:
        """Keep the signal that ended the command."""
        self._exit = f"it was ended by {printable(signal)}"

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the protocol how it ended: not an error where the command ended well."""
        self._channel = None
        self._end(self._reason(exc))

    def _reason(self, exc: Exception | None) -> LinkLostError | None:
        complaint = printable(self._complaint.decode("utf-8", "replace"))
        if complaint or self._exit:
            return LinkLostError(f"{self._host}: {complaint or self._exit}")
        if exc is not None:
            return LinkLostError(f"{self._host}: {printable(str(exc))}")
        return None

    def _end_soon(self) -> None:
        self._loop.call_soon(self._end, None)

    def _end(self, reason: LinkLostError | None) -> None:
        if self._started and not self._ended:
            self._ended = True
            self._guarded(lambda: self._protocol.connection_lost(reason))

    def _guarded(self, call: Callable[[], bool | None]) -> bool | None:
        """Call the protocol; what it lets slip ends its own channel, as an asyncio transport does.

        asyncssh would end the connection, and with it the channels of others.
        """
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - see above; it is reported, not dropped
            context: Mapping[str, object] = {
                "message": "the protocol of an SSH channel failed",
                "exception": error,
                "protocol": self._protocol,
            }
            self._loop.call_exception_handler(dict(context))
            if self._channel is not None:
                self._channel.abort()
            self._end_soon()
            return None
