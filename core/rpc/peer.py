"""Who is at the other end of a connection, as far as the kernel vouches for it."""

import asyncio
import socket
from dataclasses import dataclass
from struct import Struct
from typing import Final, Literal

#: The role of a socket whose users are root to the service behind it.
ADMIN_ROLE: Final = "admin"

_credentials = Struct("3i")  # struct ucred of unix(7): pid, uid, gid


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The other end of a connection.

    ``kind`` is ``stream`` for a byte stream that is no socket (an SSH channel). Process and user
    are known for unix sockets only, as they were when the peer connected. ``role`` is that of the
    unix socket it came by, as whoever made the listener says; nothing that is said over a
    connection raises it, and TCP has none. ``common_name`` is that of a verified TLS certificate.
    """

    kind: Literal["unix", "tcp", "stream"] = "stream"
    pid: int | None = None
    uid: int | None = None
    gid: int | None = None
    address: str = ""
    role: str = ""
    common_name: str = ""


def peer_of(transport: asyncio.BaseTransport, role: str = "") -> Peer:
    """Ask the kernel who is at the other end of *transport*, accepted by a listener for *role*.

    A peer that did not come by a unix socket has no role, whatever *role* says.
    """
    sock = transport.get_extra_info("socket")
    if sock is None:
        return Peer()
    if sock.family == socket.AF_UNIX:
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _credentials.size)
        pid, uid, gid = _credentials.unpack(raw)
        address = f"uid={uid} pid={pid}"
        return Peer(kind="unix", pid=pid, uid=uid, gid=gid, address=address, role=role)
    name = transport.get_extra_info("peername")
    address = f"{name[0]}:{name[1]}" if name else ""
    return Peer(kind="tcp", address=address, common_name=_common_name(transport))


def _common_name(transport: asyncio.BaseTransport) -> str:
    # Without a certificate that was verified there is nothing in it.
    certificate = transport.get_extra_info("peercert") or {}
    for names in certificate.get("subject", ()):
        for kind, value in names:
            if kind == "commonName":
                return str(value)
    return ""
