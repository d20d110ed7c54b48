"""Sockets whose users may do less than everything: the role is the socket.

They are served by the same services over the same store, under an authority of their own: whoever
comes by such a socket has its role, and no token that is sent over it changes that. The plain way,
by the admin socket or TCP, pays nothing for it.
"""

import logging

from c101.core.kv.auth.authority import Authority
from c101.core.kv.auth.caller import Call, Caller
from c101.core.kv.auth.rights import Rights

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
