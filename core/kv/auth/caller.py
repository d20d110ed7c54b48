"""Who asks: a user by token or certificate, the admin socket, or nobody who said so."""

from dataclasses import dataclass
from typing import Final, Protocol

from c101.core.rpc.header_decoder import Field
from c101.core.rpc.peer import Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request.

    ``revision`` is that of the auth store when the request came; 0 when it names no user.
    ``trusted`` is who came by the admin socket: root, whatever the auth store says. ``peer`` is for
    the log: who the kernel says it is.
    """

    user: str = ""
    revision: int = 0
    peer: str = ""
    trusted: bool = False


#: Who did not say.
NOBODY: Final = Caller()
#: Who came by the admin socket.
TRUSTED: Final = Caller(trusted=True)


class Call(Protocol):
    """What is looked at of a call: its metadata, and the connection it came by."""

    @property
    def metadata(self) -> tuple[Field, ...]:
        """Names in lower case, and values."""
        ...

    @property
    def peer(self) -> Peer:
        """The other end."""
        ...


_TOKEN_FIELDS: Final = (b"token", b"authorization")
#: Only a gateway sends this: the certificate is then its own, not its caller's.
_GATEWAY_FIELD: Final = b"grpcgateway-accept"


def token_of(metadata: tuple[Field, ...]) -> str | None:
    """Return the token in *metadata*, as it stands there; ``None`` if there is none."""
    for wanted in _TOKEN_FIELDS:
        for name, value in metadata:
            if name == wanted:
                return value.decode("latin-1")
    return None


def common_name_of(call: Call) -> str:
    """Return the user that the caller's certificate names, if it is the caller's own."""
    name = call.peer.common_name
    if name and any(field == _GATEWAY_FIELD for field, _ in call.metadata):
        return ""
    return name
