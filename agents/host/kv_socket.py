"""The KV for the programs of this machine: a socket here that leads to it.

Whoever connects gets a connection of their own to the KV, with the agent's role there, over the
link that the agent has anyhow. Bytes are passed on as they are: what a client and the KV agree upon
is theirs. Where the KV does not answer the connection is closed, as by a KV that is not there.
"""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from c101.core.errors import C101Error, ConfigError
from c101.core.rpc.dial import Dialer
from c101.core.socket_group import AGENTS_GROUP, give_to_group

logger = logging.getLogger(__name__)

#: Where its port is.
LOOPBACK = "127.0.0.1"
#: Connections at once; one more is closed.
CONNECTIONS_MAX = 256


class KvSocket:
    """Listens at *path* between ``start`` and ``close``; the dialers are tried in their order.

    With a *port* it listens there too, on loopback: for programs that know etcd by host and port.
    Whoever runs on the machine may use that one.
    """

    def __init__(self, path: Path, dialers: Sequence[Dialer], *, port: int = 0) -> None:
        self._path = path
        self._port = port
        self._dialers = dialers
        self._listeners: list[asyncio.Server] = []
        self._open: set[_Near] = set()

    async def start(self) -> None:
        """Listen. Raises ConfigError: the socket cannot be made.

        A port that another program has is told of in the log: the machine's units do without it.
        """
        loop = asyncio.get_running_loop()
        self._path.unlink(missing_ok=True)
        try:
            self._listeners.append(await loop.create_unix_server(self._accept, str(self._path)))
        except OSError as error:
            raise ConfigError(f"cannot listen on {self._path}: {error.strerror}") from error
        self._path.chmod(0o600)
        give_to_group(self._path, AGENTS_GROUP)
        if not self._port:
            return
        try:
            self._listeners.append(await loop.create_server(self._accept, LOOPBACK, self._port))
        except OSError as error:
            fields = {"port": self._port, "reason": error.strerror or str(error)}
            logger.error("the KV has no port here", extra=fields)  # noqa: TRY400 - it is told

    def _accept(self) -> "_Near":
        return _Near(self)

    def admit(self, near: "_Near") -> bool:
        """Enter a connection, unless there are too many."""
        if len(self._open) >= CONNECTIONS_MAX:
            return False
        self._open.add(near)
        return True

    def leave(self, near: "_Near") -> None:
        """Hear that a connection is gone."""
        self._open.discard(near)

    async def dial(self, far: "_End") -> bool:
        """Connect *far* to the first KV that answers; say whether one did."""
        for dialer in self._dialers:
            try:
                await dialer.dial(far)
            except C101Error as error:
                logger.debug("not dialled", extra={"kv": dialer.name, "error": str(error)})
            else:
                return True
        return False

    async def close(self) -> None:
        """Stop listening and end every connection."""
        for listener in self._listeners:
            listener.close()
        if self._listeners:
            self._path.unlink(missing_ok=True)
        for near in list(self._open):
            await near.end()


class _End(asyncio.Protocol):
    """One of two connections that are joined: what comes in here goes out there."""

    def __init__(self) -> None:
        self.other: _End | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if (there := self._there()) is not None:
            there.write(data)

    def eof_received(self) -> bool:
        there = self._there()
        if there is not None and there.can_write_eof():
            there.write_eof()
        return there is not None

    def pause_writing(self) -> None:
        if (there := self._there()) is not None:
            there.pause_reading()

    def resume_writing(self) -> None:
        if (there := self._there()) is not None:
            there.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        if (there := self._there()) is not None:
            there.close()

    def _there(self) -> asyncio.Transport | None:
        transport = self.other.transport if self.other is not None else None
        return None if transport is None or transport.is_closing() else transport


class _Near(_End):
    """The end of a program here. It is not read until the KV's end stands.

    asyncio begins to read after ``connection_made`` whatever that says (before Python 3.12): what
    comes by that one read is kept.
    """

    def __init__(self, socket: KvSocket) -> None:
        super().__init__()
        self._socket = socket
        self._dialling: asyncio.Task[None] | None = None
        self._early = b""
        self._early_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        if not self._socket.admit(self):
            self.transport.abort()
            return
        self.transport.pause_reading()
        self._dialling = asyncio.create_task(self._dial(), name="dial the KV for a program")

    async def _dial(self) -> None:
        far = _End()
        far.other = self
        reached = await self._socket.dial(far)
        if self.transport is None:  # it did not wait
            if far.transport is not None:
                far.transport.close()
        elif not reached:
            self.transport.close()
        else:
            self.other = far
            if self._early:
                super().data_received(self._early)
            if self._early_end:
                super().eof_received()
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            super().data_received(data)
            return
        self._early += data
        if self.transport is not None:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        if self.other is not None:
            return super().eof_received()
        self._early_end = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._socket.leave(self)
        super().connection_lost(exc)

    async def end(self) -> None:
        """End it, and the dial that it may wait for."""
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.gather(self._dialling, return_exceptions=True)
        if self.transport is not None:
            self.transport.abort()
