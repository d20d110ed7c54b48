"""``--stdio ROLE``: standard input and output, joined to a unix socket.

Started by sshd for every link, so it imports next to nothing and has no event loop: one thread a
direction, each blocked in a read or a write. What is not read on one side is not read on the other,
and memory is one chunk a direction.
"""

import os
import socket
import sys
import threading
from pathlib import Path

CHUNK_BYTES = 65_536
#: The exit status of a program that could not reach what it is for (DESIGN, section 9).
UNREACHABLE = 5


def relay(socket_path: Path | str, *, stdin: int = 0, stdout: int = 1) -> int:
    """Join *stdin* and *stdout* to the socket until it ends; return the exit status.

    The end of input is passed on as a half-close; the end of the socket ends the relay.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with connection:
        try:
            connection.connect(os.fspath(socket_path))
        except OSError as error:
            reason = error.strerror or error
            sys.stderr.write(f"c101: nobody answers on {socket_path}: {reason}\n")
            return UNREACHABLE
        # A daemon: when the socket ends, nothing more of the input matters.
        threading.Thread(target=_send, args=(stdin, connection), daemon=True).start()
        _receive(connection, stdout)
    return 0


def _send(stdin: int, connection: socket.socket) -> None:
    try:
        while chunk := os.read(stdin, CHUNK_BYTES):
            connection.sendall(chunk)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the socket has ended, which _receive sees as well


def _receive(connection: socket.socket, stdout: int) -> None:
    try:
        while chunk := connection.recv(CHUNK_BYTES):
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(stdout, rest) :]
    except OSError:
        return  # the far side is gone, or the service: either way there is nobody to relay for
