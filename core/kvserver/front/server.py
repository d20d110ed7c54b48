"""The listeners of a front: each call goes on to the etcd as it came, its answer back as it is."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from c101.core.clock import SystemClock
from c101.core.errors import DeadlineExceededError, LinkError
from c101.core.kv.auth.rights import Rights
from c101.core.kvserver.clock import NOW, now_handler
from c101.core.kvserver.front.leases import Leases
from c101.core.kvserver.front.methods import (
    CHECKS,
    STREAMS,
    UNARY,
    Asking,
    Check,
    admins_only,
)
from c101.core.kvserver.roles import RoleListeners, SocketAuthority
from c101.core.rpc.channel import Channel, ClientStream
from c101.core.rpc.dial import Dialer
from c101.core.rpc.header_decoder import Field
from c101.core.rpc.peer import ADMIN_ROLE
from c101.core.rpc.server import (
    Server,
    ServerStream,
    StreamHandler,
    UnaryCall,
    UnaryHandler,
)
from c101.core.rpc.status import NOT_PASSED_ON_TEXT, CallLostError, Code, RpcError

logger = logging.getLogger(__name__)

#: Calls that run when a front stops may take this long.
GRACE_SECONDS: Final = 2.0
#: An etcd that is silent so long while calls wait for it is asked whether it is there.
_KEEPALIVE_SECONDS: Final = 2.0

#: Fields that are of one connection.
_OURS: Final = frozenset({b"user-agent", b"host", b"content-length"})


class Front:
    """``async with Front(dialer) as front``: then let it listen.

    *dialer* leads to the etcd of this host, as a user who may do everything there.
    """

    def __init__(self, dialer: Dialer) -> None:
        self._channel = Channel(dialer, keepalive_seconds=_KEEPALIVE_SECONDS)
        self._leases = Leases(self._channel)
        self._roles = SocketAuthority()
        self._problem = ""  # why the etcd is not reached, as last logged
        #: where it listens
        self.urls: list[str] = []

    async def __aenter__(self) -> Self:
        self._admin_rpc = self._rpc({})
        self._role_rpc = self._rpc(
            {path: CHECKS.get(path, admins_only) for path in (*UNARY, *STREAMS)}
        )
        self._listeners = RoleListeners(self._role_rpc, self._roles, self.urls)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await asyncio.gather(
            self._admin_rpc.close(GRACE_SECONDS), self._role_rpc.close(GRACE_SECONDS)
        )
        await self._channel.close()

    async def listen_unix(self, path: Path) -> str:
        """Listen on a unix socket that only its owner may use, as admin; return the URL.

        Raises:
            ConfigError: it cannot be had.
        """
        await self._admin_rpc.serve_unix(path, role=ADMIN_ROLE)
        url = f"unix://{path}"
        self.urls.append(url)
        return url

    async def listen_role(self, path: Path, role: str, rights: Rights, mode: int = 0o660) -> None:
        """Listen on a unix socket whose users have *rights*.

        Raises:
            ConfigError: it cannot be had.
        """
        await self._listeners.listen(path, role, rights, mode)

    def close_role(self, role: str) -> None:
        """Listen for *role* no more; who is connected may do nothing from now on."""
        self._listeners.close(role)

    # ---- calls ----

    def _rpc(self, checks: Mapping[str, Check]) -> Server:
        """Return a server of all methods; without *checks* who calls may do everything."""
        unary = {path: self._unary(path, checks.get(path)) for path in UNARY}
        streams = {path: self._stream(path, checks.get(path)) for path in STREAMS}
        return Server({**unary, NOW: now_handler(SystemClock())}, streams)

    def _unary(self, path: str, check: Check | None) -> UnaryHandler:
        def handler(call: UnaryCall, message: bytes) -> None:
            async def answer(message: bytes) -> bytes:
                with self._told_as_etcd_would():
                    if check is not None:
                        await check(self._asking(call), message)
                    metadata = _passed_on(call.metadata, everything=check is None)
                    return await self._channel.unary(path, message, metadata=metadata)

            call.task = call.server.spawn(call.run(answer, message), call.method)

        return handler

    def _stream(self, path: str, check: Check | None) -> StreamHandler:
        async def handler(near: ServerStream) -> None:
            metadata = _passed_on(near.metadata, everything=check is None)
            with self._told_as_etcd_would():
                async with self._channel.stream(path, metadata=metadata) as far:
                    await self._joined(near, far, check)

        return handler

    async def _joined(self, near: ServerStream, far: ClientStream, check: Check | None) -> None:
        """Pass on both ways until the etcd has ended the call, or a message is not permitted."""
        asking = asyncio.create_task(self._ask(near, far, check), name="front: requests")
        telling = asyncio.create_task(_tell(far, near), name="front: answers")
        try:
            done, _ = await asyncio.wait((asking, telling), return_when=asyncio.FIRST_COMPLETED)
            if asking in done:
                await asking  # it may be that a message is not permitted
            await telling
        finally:
            for task in (asking, telling):
                task.cancel()
            await asyncio.gather(asking, telling, return_exceptions=True)

    async def _ask(self, near: ServerStream, far: ClientStream, check: Check | None) -> None:
        async for message in near:
            if check is not None:
                await check(self._asking(near), message)
            far.send(message)
            await far.drain()
        far.end()

    @contextmanager
    def _told_as_etcd_would(self) -> Iterator[None]:
        """Have an etcd that is not there be told of by a status, and once by the log.

        Raises RpcError.
        """
        try:
            yield
        except CallLostError as error:
            raise (_lost() if error.maybe_sent else _not_there()) from error
        except DeadlineExceededError as error:
            raise _lost() from error
        except LinkError as error:
            if str(error) != self._problem:
                logger.warning("the etcd is not reached", extra={"reason": str(error)})
            self._problem = str(error)
            raise _not_there() from error
        else:
            self._problem = ""

    def _asking(self, call: UnaryCall | ServerStream) -> Asking:
        return Asking(self._roles, self._roles.caller_of(call), self._leases)


async def _tell(far: ClientStream, near: ServerStream) -> None:
    async for message in far:
        near.send(message)
        await near.drain()


def _passed_on(metadata: tuple[Field, ...], *, everything: bool) -> tuple[Field, ...]:
    """Return what the etcd is told: who comes by a role's socket is not also somebody else."""
    if everything:
        return tuple(field for field in metadata if field[0] not in _OURS)
    return tuple(field for field in metadata if field[0] == b"hasleader")


def _not_there() -> RpcError:
    # Nothing was asked: a client may ask the next host's front, also for what may not happen twice.
    return RpcError(Code.UNAVAILABLE, NOT_PASSED_ON_TEXT)


def _lost() -> RpcError:
    # Asked, and not answered: it may have happened.
    return RpcError(
        Code.UNAVAILABLE, "etcdserver: request timed out, possibly due to connection lost"
    )
