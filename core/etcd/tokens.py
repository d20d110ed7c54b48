"""Who we are: a user's name and password, and the token that etcd gives for them.

A token is had on demand, by one ``Authenticate`` for all who wait, and travels as metadata. It ends
after some minutes without use, when its user changes, and (a simple one) when its server restarts;
whoever has one refused calls ``refused`` and has the next. Where authentication is not enabled
there is no token, and requests go without.
"""

import asyncio
import logging

from c101.core.etcd.errors import from_rpc
from c101.core.etcd.metadata import WITH_LEADER, Metadata, with_token
from c101.core.proto import rpc_pb2
from c101.core.rpc.channel import Channel
from c101.core.rpc.status import Code, RpcError

AUTHENTICATE = "/etcdserverpb.Auth/Authenticate"

_NOT_ENABLED = "etcdserver: authentication is not enabled"

logger = logging.getLogger(__name__)


class Tokens:
    """The token of *user*, shared by all that a client does."""

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self._request = rpc_pb2.AuthenticateRequest(name=user, password=password)
        self._current: Metadata | None = None
        self._asking = asyncio.Lock()

    @property
    def current(self) -> Metadata | None:
        """The metadata of a request; ``None`` until a token was asked for."""
        return self._current

    async def metadata(self, channel: Channel, timeout_seconds: float) -> Metadata:
        """Return the metadata of a request; ask for a token over *channel* if there is none.

        Raises what a call raises, and AuthenticationError: user or password is wrong.
        """
        if self._current is not None:
            return self._current
        async with self._asking:
            # Somebody else may have asked while we waited.
            if self._current is None:
                self._current = await self._ask(channel, timeout_seconds)
            return self._current

    def refused(self, metadata: Metadata) -> None:
        """Hear that *metadata* was refused; the next who asks has another, unless it is there."""
        if self._current is metadata:
            self._current = None

    async def _ask(self, channel: Channel, timeout_seconds: float) -> Metadata:
        raw = self._request.SerializeToString()
        try:
            answer = await channel.unary(
                AUTHENTICATE, raw, timeout=timeout_seconds, metadata=WITH_LEADER
            )
        except RpcError as exc:
            if exc.status is Code.FAILED_PRECONDITION and exc.message == _NOT_ENABLED:
                return WITH_LEADER
            if exc.status is Code.INVALID_ARGUMENT:
                # A wrong password is no refused token: it must not be asked for again.
                raise from_rpc(exc) from exc
            raise
        logger.debug("authenticated", extra={"user": self.user})
        return with_token(rpc_pb2.AuthenticateResponse.FromString(answer).token)
