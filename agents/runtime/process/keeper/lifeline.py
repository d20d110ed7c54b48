"""The lifeline: a unix stream socket whose end means that nothing may go on.

A local cluster's supervisor listens on it. When the supervisor ends, however that comes about, the
kernel closes its connections: every keeper kills its unit and ends.
"""

from __future__ import annotations

import _socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from c101.agents.runtime.process.keeper.loop import Loop


def hold(path: str, loop: Loop, on_end: Callable[[], None]) -> None:
    """Connect to *path* and call *on_end* at its end. Raises OSError: nobody listens there."""
    kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC
    connection = _socket.socket(_socket.AF_UNIX, kind)
    connection.connect(path)
    connection.setblocking(False)  # noqa: FBT003 - it takes no keyword

    def readable() -> None:
        try:
            if connection.recv(512):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # Reset: that is an end as well.
        loop.unwatch(connection.fileno())
        on_end()

    loop.watch(connection.fileno(), readable)
