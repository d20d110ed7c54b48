"""The gateway's SSH side: asyncssh with everything closed that a key does not open.

asyncssh has no MaxStartups, no MaxAuthTries and no MaxSessions, grants every environment variable
and enforces key options only of files that it reads itself: all of that is done here. Nothing else
in c101 starts an SSH server.
"""

import asyncio
import logging
import os
import socket
import stat
from collections import Counter
from pathlib import Path

import asyncssh

from c101.agents.ssh.authorized_keys import AuthorizedKey, parse_authorized_keys
from c101.agents.ssh.gateway import (
    KEEPALIVE_COUNT_MAX,
    KEEPALIVE_SECONDS,
    WINDOW_BYTES,
    GatewaySettings,
)
from c101.agents.ssh.gateway_relay import (
    UNREACHABLE,
    ExecSession,
    GatewayChannel,
    SocketRelay,
    SocketSession,
    connect_socket,
)
from c101.core.clock import Clock

logger = logging.getLogger(__name__)

AUTHORIZED_KEYS_BYTES_MAX = 4 * 1024 * 1024
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
#: What is not offered, of asyncssh's own selection: everything that rests on SHA-1.
_NO_SHA1 = "-*sha1*"

asyncssh.set_log_level(logging.WARNING)  # its info level narrates every channel


class GatewayServer:
    """All connections of one gateway, counted."""

    def __init__(self, settings: GatewaySettings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._connections: set[_Connection] = set()
        self._waiting: Counter[str] = Counter()  # connections that have not logged in, by source
        self._relays: set[asyncio.Task[None]] = set()

    async def listen(self, listener: socket.socket) -> None:
        """Answer the connections of *listener*."""
        self._acceptor = await asyncssh.listen(
            sock=listener,
            server_factory=lambda: _Connection(self),
            server_host_keys=[str(self.settings.host_key)],
            authorized_client_keys=None,
            public_key_auth=True,
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            allow_pty=False,
            line_editor=False,
            x11_forwarding=False,
            agent_forwarding=False,
            allow_scp=False,
            sftp_factory=None,
            encoding=None,
            compression_algs=None,
            kex_algs=_NO_SHA1,
            mac_algs=_NO_SHA1,
            signature_algs="-ssh-rsa",
            server_version="c101",
            login_timeout=self.settings.limits.login_timeout_seconds,
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=KEEPALIVE_COUNT_MAX,
            window=WINDOW_BYTES,
        )

    async def close(self) -> None:
        """Stop accepting, cut every connection, wait for the relays."""
        if self._acceptor is not None:
            self._acceptor.close()
        for connection in list(self._connections):
            connection.cut()
        for task in list(self._relays):
            task.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)
        if self._acceptor is not None:
            await self._acceptor.wait_closed()

    def admit(self, connection: "_Connection") -> bool:
        """Count a new connection in; False where there are too many."""
        limits = self.settings.limits
        if (
            len(self._connections) >= limits.connections_max
            or self._waiting.total() >= limits.unauthenticated_max
            or self._waiting[connection.source] >= limits.unauthenticated_per_source_max
        ):
            logger.debug("ssh connection dropped", extra={"source": connection.source})
            return False
        self._connections.add(connection)
        self._waiting[connection.source] += 1
        return True

    def logged_in(self, connection: "_Connection") -> None:
        """Take the connection out of those that have not logged in."""
        self._waiting[connection.source] -= 1
        if self._waiting[connection.source] <= 0:
            del self._waiting[connection.source]

    def release(self, connection: "_Connection") -> None:
        """Count a connection out."""
        if connection in self._connections:
            self._connections.discard(connection)
            if not connection.is_logged_in:
                self.logged_in(connection)

    def find_key(self, blob: bytes, source: str) -> AuthorizedKey | None:
        """Look a key up in the file as it is at this moment.

        A file that cannot be read, or that others may write, lets nobody in.
        """
        path = self.settings.authorized_keys
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & _WRITABLE_BY_OTHERS:
                    logger.warning("authorized keys writable by others", extra={"path": str(path)})
                    return None
                text = file.read(AUTHORIZED_KEYS_BYTES_MAX).decode("utf-8", "replace")
        except OSError as error:
            logger.warning("no authorized keys", extra={"path": str(path), "error": str(error)})
            return None
        parsed = parse_authorized_keys(text)
        for line in parsed.refused:
            logger.warning(
                "authorized key refused",
                extra={"path": f"{path}:{line.line_number}", "reason": line.reason},
            )
        return parsed.find(blob, source, self.clock.time())

    def join(self, relay: SocketRelay, connection: socket.socket) -> None:
        """Hand the connected socket to *relay*."""
        task = asyncio.create_task(_attach(relay, connection), name="ssh relay")
        self._relays.add(task)
        task.add_done_callback(self._relays.discard)


async def _attach(relay: SocketRelay, connection: socket.socket) -> None:
    try:
        await asyncio.get_running_loop().create_unix_connection(lambda: relay, sock=connection)
    except OSError as error:
        connection.close()
        relay.end_channel(UNREACHABLE, f"c101: {error}\n")
    except asyncio.CancelledError:
        connection.close()
        raise


class _Connection(asyncssh.SSHServer):
    """One client: who it is, and what its key opens."""

    def __init__(self, server: GatewayServer) -> None:
        self._server = server
        self._connection: asyncssh.SSHServerConnection | None = None
        self._tried: AuthorizedKey | None = None
        self._key: AuthorizedKey | None = None  # set once it has proved to hold it
        self._tries = 0
        self._sessions = 0
        self.source = ""

    @property
    def is_logged_in(self) -> bool:
        return self._key is not None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        peer = conn.get_extra_info("peername")
        self.source = str(peer[0]) if peer else ""
        if not self._server.admit(self):
            # Without a word: an answer would cost more than the connection did.
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.release(self)
        self._connection = None
        logger.debug("ssh connection ended", extra={"source": self.source, "reason": str(exc)})

    def cut(self) -> None:
        if self._connection is not None:
            self._connection.abort()

    # who

    def begin_auth(self, _username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, _username: str, key: asyncssh.SSHKey) -> bool:
        self._tried = self._server.find_key(key.public_data, self.source)
        if self._tried is not None:
            return True
        self._tries += 1
        if self._tries >= self._server.settings.limits.auth_tries_max:
            asyncio.get_running_loop().call_soon(self._give_up)
        return False

    def _give_up(self) -> None:
        if self._connection is not None and not self.is_logged_in:
            self._connection.disconnect(
                asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many keys tried"
            )

    def auth_completed(self) -> None:
        assert self._tried is not None
        self._key = self._tried
        self._server.logged_in(self)
        logger.info(
            "ssh login",
            extra={"source": self.source, "key": str(self._key.key), "comment": self._key.comment},
        )

    # what

    def session_requested(self) -> "tuple[GatewayChannel, ExecSession]":
        self._count_session()
        assert self._connection is not None
        channel = GatewayChannel(self._connection, asyncio.get_running_loop(), WINDOW_BYTES)
        return channel, ExecSession(self._open_relay, self._release_session)

    def unix_connection_requested(self, dest_path: str) -> SocketSession:
        if self._key is None or dest_path not in self._key.sockets:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "This key may not open that socket"
            )
        self._count_session()
        try:
            connection = connect_socket(Path(dest_path))
        except OSError as error:
            self._release_session()
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_CONNECT_FAILED, error.strerror or str(error)
            ) from error
        # A client that is gone before the channel stands leaves the socket to the collector.
        return SocketSession(
            lambda relay: self._server.join(relay, connection), self._release_session
        )

    def _count_session(self) -> None:
        if self._sessions >= self._server.settings.limits.sessions_max:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_RESOURCE_SHORTAGE, "Too many channels on this connection"
            )
        self._sessions += 1

    def _release_session(self) -> None:
        self._sessions -= 1

    def _open_relay(
        self, asked: str, channel: asyncssh.SSHServerChannel[bytes]
    ) -> SocketRelay | None:
        """Join *channel* to the relay of the key's forced command, whatever was *asked*.

        ``None`` where the key has none or it is served by no relay here.
        """
        command = self._key.command if self._key is not None else None
        path = self._server.settings.relays.get(command) if command is not None else None
        if path is None:
            logger.warning("ssh command refused", extra={"source": self.source, "command": asked})
            return None
        relay = SocketRelay(channel)
        try:
            self._server.join(relay, connect_socket(path))
        except OSError as error:
            reason = error.strerror or str(error)
            complaint = f"c101: nobody answers on {path}: {reason}\n"
            # After the request is granted: only a running program has a standard error.
            asyncio.get_running_loop().call_soon(relay.end_channel, UNREACHABLE, complaint)
        return relay
