"""Sockets whose users may do less than everything: the role is the socket.

They are served by the same services over the same store, under an authority of their own: whoever
comes by such a socket has its role, and no token that is sent over it changes that. The plain way,
by the admin socket or TCP, pays nothing for it.
"""

import asyncio
import logging
from pathlib import Path

from c101.core.kv.auth.authority import Authority
from c101.core.kv.auth.caller import Call, Caller
from c101.core.kv.auth.rights import Rights
from c101.core.rpc.server import Server

logger = logging.getLogger(__name__)

#: Roles do not change while somebody has them: every caller is of the first revision.
_REVISION = 1


class SocketAuthority(Authority):
    """Knows the roles of sockets by their names, while somebody listens for them."""

    enabled = True

    def __init__(self) -> None:
        self._rights: dict[str, Rights] = {}

    def add(self, role: str, rights: Rights) -> None:
        """Let who comes by the socket of *role* do what *rights* say."""
        self._rights[role] = rights

    def remove(self, role: str) -> None:
        """Let who came by the socket of *role* do nothing any more."""
        self._rights.pop(role, None)

    def caller_of(self, call: Call) -> Caller:
        """Return the role of the socket; a token is not looked at."""
        peer = call.peer
        return Caller(user=peer.role, revision=_REVISION, peer=peer.address)

    def rights(self, caller: Caller) -> Rights | None:
        """Return what the role may."""
        return self._rights.get(caller.user)

    def denied(self, caller: Caller, what: str) -> None:
        """Write down what was refused to whom."""
        extra = {"role": caller.user, "peer": caller.peer, "what": what}
        logger.warning("refused", extra=extra)

    def require_fresh(self, caller: Caller) -> None:
        """Accept everybody."""

    def require_unchanged(self, caller: Caller) -> None:
        """Accept everybody."""


class RoleListeners:
    """The sockets of roles that *rpc* serves under *authority*; *urls* tells of them."""

    def __init__(self, rpc: Server, authority: SocketAuthority, urls: list[str]) -> None:
        self._rpc = rpc
        self._authority = authority
        self._urls = urls
        self._listeners: dict[str, tuple[Path, asyncio.Server]] = {}

    async def listen(self, path: Path, role: str, rights: Rights, mode: int) -> None:
        """Listen on a unix socket whose users have *rights*, whatever they say of themselves.

        Raises:
            ConfigError: it cannot be had.
        """
        self._authority.add(role, rights)
        self._listeners[role] = (path, await self._rpc.serve_unix(path, mode, role=role))
        self._urls.append(f"unix://{path}")

    def close(self, role: str) -> None:
        """Listen for *role* no more; who is connected may do nothing from now on."""
        self._authority.remove(role)
        path, listener = self._listeners.pop(role)
        listener.close()
        path.unlink(missing_ok=True)
        self._rpc.end_role(role)
        self._urls.remove(f"unix://{path}")
