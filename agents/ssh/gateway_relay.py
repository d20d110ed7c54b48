"""One channel of the gateway, joined to a unix socket with back-pressure both ways."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.packet import SSHPacket

from c101.agents.ssh.gateway import BUFFER_BYTES_MAX

#: The largest packet taken from a client (RFC 4254 says 32,768 at least).
PACKET_BYTES_MAX = 32_768
#: The exit status that says that the service behind a relay does not answer.
UNREACHABLE = 5


def connect_socket(path: Path) -> socket.socket:
    """Connect to the unix socket at *path*, at once. Raises OSError.

    A unix socket connects without waiting or fails (EAGAIN where its backlog is full), so the
    answer to a client's request can say which.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


class SocketRelay(asyncio.Protocol):
    """The socket's end; the sessions below are the channel's.

    Whoever is full pauses the other. What arrives on the channel before the socket's transport is
    there is held, and the channel paused: a channel has at most its window in flight.
    """

    def __init__(self, channel: SSHChannel[bytes]) -> None:
        self._channel: SSHChannel[bytes] | None = channel
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        self._early_end = False
        channel.set_write_buffer_limits(BUFFER_BYTES_MAX)

    # from the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass on what came early, and let the channel read."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(BUFFER_BYTES_MAX)
        if self._channel is None:
            transport.abort()
            return
        for chunk in self._early:
            transport.write(chunk)
        self._early.clear()
        if self._early_end:
            transport.write_eof()
        self._channel.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Pass the service's bytes to the client."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write(data)

    def eof_received(self) -> bool:
        """Let the transport close: as for a relay process, the service's end is the end."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End the channel with the socket."""
        self._transport = None
        self.end_channel(0 if exc is None else UNREACHABLE)

    def pause_writing(self) -> None:
        """Hold the client back while the service does not read."""
        if self._channel is not None:
            self._channel.pause_reading()

    def resume_writing(self) -> None:
        """Let the client go on."""
        if self._channel is not None:
            self._channel.resume_reading()

    # from the channel

    def from_client(self, data: bytes) -> None:
        """Pass the client's bytes to the service."""
        if self._transport is not None:
            self._transport.write(data)
        elif self._channel is not None:
            self._early.append(data)
            self._channel.pause_reading()

    def client_ended(self) -> None:
        """Pass on the client's half-close."""
        if self._transport is None:
            self._early_end = True
        elif not self._transport.is_closing():
            self._transport.write_eof()

    def hold(self, *, held: bool) -> None:
        """Hold the service back while the client does not read."""
        if self._transport is None or self._transport.is_closing():
            return
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def client_gone(self) -> None:
        """End the socket with the channel.

        What is not sent yet is dropped: a service that waits for its own answers to be read would
        never take it, and nobody reads them any more.
        """
        self._channel = None
        if self._transport is not None:
            self._transport.abort()

    def end_channel(self, exit_status: int, complaint: str = "") -> None:
        """Close the channel as a program that exits does."""
        channel, self._channel = self._channel, None
        if channel is None:
            return
        if isinstance(channel, asyncssh.SSHServerChannel) and not channel.is_closing():
            if complaint:
                channel.write_stderr(complaint.encode())
            channel.exit(exit_status)
        channel.close()


class GatewayChannel(asyncssh.SSHServerChannel[bytes]):
    """A session channel of bytes that takes no environment (asyncssh grants every variable)."""

    def __init__(
        self,
        connection: asyncssh.SSHServerConnection,
        loop: asyncio.AbstractEventLoop,
        window_bytes: int,
    ) -> None:
        super().__init__(
            connection,
            loop,
            allow_pty=False,
            line_editor=False,
            line_echo=False,
            line_history=0,
            max_line_length=0,
            encoding=None,
            errors="strict",
            window=window_bytes,
            max_pktsize=PACKET_BYTES_MAX,
        )

    def _process_env_request(self, packet: SSHPacket) -> bool:
        packet.get_string()
        packet.get_string()
        packet.check_end()
        return False


class _RelaySession:
    """What both kinds of session do with the relay that they are joined to."""

    def __init__(self, released: Callable[[], None]) -> None:
        self._released = released
        self._relay: SocketRelay | None = None

    def data_received(self, data: bytes, _datatype: int | None) -> None:
        """Pass the client's bytes on."""
        if self._relay is not None:
            self._relay.from_client(data)

    def eof_received(self) -> bool:
        """Pass the client's half-close on; the service may still answer."""
        if self._relay is not None:
            self._relay.client_ended()
        return True

    def pause_writing(self) -> None:
        """Hold the service back."""
        if self._relay is not None:
            self._relay.hold(held=True)

    def resume_writing(self) -> None:
        """Let the service go on."""
        if self._relay is not None:
            self._relay.hold(held=False)

    def connection_lost(self, _exc: Exception | None) -> None:
        """End the relay with its channel."""
        self._released()
        if self._relay is not None:
            self._relay.client_gone()


class ExecSession(_RelaySession, asyncssh.SSHServerSession[bytes]):
    """A session that can do one thing: run the relay of its key's forced command.

    asyncssh refuses what a session does not override: a terminal, a shell, a subsystem.
    """

    def __init__(
        self,
        open_relay: Callable[[str, asyncssh.SSHServerChannel[bytes]], SocketRelay | None],
        released: Callable[[], None],
    ) -> None:
        super().__init__(released)
        self._open_relay = open_relay
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """Keep the channel."""
        self._channel = chan

    def exec_requested(self, command: str) -> bool:
        """Open the relay, or refuse."""
        assert self._channel is not None
        self._relay = self._open_relay(command, self._channel)
        return self._relay is not None


class SocketSession(_RelaySession, asyncssh.SSHUNIXSession[bytes]):
    """A ``direct-streamlocal`` channel to a socket that the key was given by name.

    *joined* is told of the relay as soon as the channel is there.
    """

    def __init__(self, joined: Callable[[SocketRelay], None], released: Callable[[], None]) -> None:
        super().__init__(released)
        self._joined = joined

    def connection_made(self, chan: asyncssh.SSHUNIXChannel[bytes]) -> None:
        """Join the channel to the socket."""
        self._relay = SocketRelay(chan)
        self._joined(self._relay)
