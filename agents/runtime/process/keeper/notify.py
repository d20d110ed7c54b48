"""The socket of sd_notify(3): READY=1, STATUS=, MAINPID= and their kin.

It lies in the abstract name space, so that a unit with another User= reaches it. Who sends is told
by the kernel: only the unit's own processes are listened to.
"""

from __future__ import annotations

import _socket
import posix
import struct

from c101.agents.runtime.process.keeper import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MESSAGE_BYTES_MAX = 4096
#: Messages handled a turn; more wait in the socket, whose queue the kernel bounds.
_MESSAGES_MAX = 64
_DESCRIPTORS_MAX = 16
_CREDENTIALS = struct.Struct("3i")
_INT_BYTES = 4


class NotifySocket:
    """A datagram socket that names its senders; ``address`` is what NOTIFY_SOCKET says."""

    def __init__(self) -> None:
        kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        self._socket = _socket.socket(_socket.AF_UNIX, kind)
        self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
        name = "c101-notify-" + posix.urandom(16).hex()
        self._socket.bind(b"\0" + name.encode())
        self.address = "@" + name

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._socket.fileno()

    def messages(self) -> Iterator[tuple[int, int, dict[str, str]]]:
        """Yield (pid, uid, assignments) of what has arrived.

        Descriptors that come along are closed: none are stored, and BARRIER=1 waits for that.
        """
        room = _socket.CMSG_SPACE(_CREDENTIALS.size) + _socket.CMSG_SPACE(
            _DESCRIPTORS_MAX * _INT_BYTES
        )
        for _ in range(_MESSAGES_MAX):
            try:
                data, ancillary, _, _ = self._socket.recvmsg(
                    _MESSAGE_BYTES_MAX, room, _socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            pid = uid = -1
            for level, kind, value in ancillary:
                if level == _socket.SOL_SOCKET and kind == _socket.SCM_CREDENTIALS:
                    pid, uid, _ = _CREDENTIALS.unpack(value[: _CREDENTIALS.size])
                elif level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                    _close_all(value)
            pairs = (line.partition("=") for line in data.decode(errors="replace").split("\n"))
            yield pid, uid, {name: value for name, equals, value in pairs if equals}

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def may_speak(access: str, sender: tuple[int, int], main_pid: int, control_pid: int) -> bool:
    """Say whether NotifyAccess=*access* lets *sender* (pid, uid) speak for the unit.

    A sender that is gone already, as ``systemd-notify`` often is, is believed under "all" when it
    had this user's id.
    """
    pid, uid = sender
    if access in {"main", "exec"} and pid == main_pid > 0:
        return True
    if access == "exec" and pid == control_pid > 0:
        return True
    if access != "all":
        return False
    table = processes.table()
    if pid not in table:
        return uid in {0, posix.getuid()}
    me = posix.getpid()
    while pid > 1:
        if pid == me:
            return True
        pid = table.get(pid, (0, ""))[0]
    return False


def _close_all(value: bytes) -> None:
    whole = len(value) - len(value) % _INT_BYTES
    for (descriptor,) in struct.iter_unpack("i", value[:whole]):
        posix.close(descriptor)
