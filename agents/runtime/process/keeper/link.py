r"""The keeper's side of its socket: orders in, states out. One line a message, UTF-8.

An agent sends ``NUMBER VERB [ARGUMENT]\n``, the argument escaped as in ``record.py``, and is
answered ``ok NUMBER\n`` once the order is taken (from then on it is carried out whatever becomes of
the agent), or ``no NUMBER REASON\n``::

    1 start RESTART-ID        start unless it is active or on its way; RESTART-ID may be missing
    2 stop                    stop unless it is at rest
    3 restart RESTART-ID      stop, then start with the spec that is on disk by then
    4 reload                  run ExecReload=
    5 reset                   forget a failure and the count of starts
    6 unload                  stop, remove the unit's directory, end
    7 keep                    take an unload back: the unit was loaded anew
    8 note PRIORITY TEXT      write a line about the unit into the journal
    9 journal SEQ             say ``journal`` once, as soon as the journal has an entry after SEQ

The keeper sends, beside the answers::

    hello VERSION PID
    state RECORD              at once to a new agent, then whenever it changes (``record.py``)
    journal                   see there
    gone                      the unit was unloaded; the keeper ends

An agent that does not read is cut off when PENDING_BYTES_MAX wait for it: it connects again and is
told the state as it is by then. Whoever can open the socket, in a directory of mode 0700, may give
orders.
"""

from __future__ import annotations

import _socket

from c101.agents.runtime.process.keeper.record import unescape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from c101.agents.runtime.process.keeper.loop import Loop

VERSION = 1
LINE_BYTES_MAX = 64 * 1024
PENDING_BYTES_MAX = 256 * 1024
#: More agents at once than this are not let in.
AGENTS_MAX = 16
_READ_BYTES = 4096
_FLUSH_SECONDS = 0.01


class OrderError(Exception):
    """The order cannot be carried out; the text says why."""


class Agent:
    """One connected agent."""

    def __init__(self, links: Links, connection: _socket.socket) -> None:
        self._links = links
        self._connection = connection
        self._received = b""
        self._pending = b""
        self.journal_after = -1  # tell it of entries after this one; -1: it did not ask
        connection.setblocking(False)  # noqa: FBT003 - it takes no keyword
        links.loop.watch(connection.fileno(), self._readable)

    def send(self, line: str) -> None:
        """Send a line as soon as the socket takes it."""
        self._pending += line.encode(errors="replace") + b"\n"
        self._flush()

    def _flush(self) -> None:
        if self._connection.fileno() < 0:
            return
        try:
            while self._pending:
                self._pending = self._pending[self._connection.send(self._pending) :]
        except BlockingIOError:
            if len(self._pending) > PENDING_BYTES_MAX:
                self.close()
            else:
                self._links.loop.after(_FLUSH_SECONDS, ("flush", id(self)), self._flush)
        except OSError:
            self.close()

    def _readable(self) -> None:
        try:
            data = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._links.order(self, line.decode(errors="replace"))
        if not data or len(self._received) > LINE_BYTES_MAX:
            self.close()

    def close(self) -> None:
        """Hang up; harmless when that was done."""
        descriptor = self._connection.fileno()
        if descriptor >= 0:
            self._links.loop.unwatch(descriptor)
            self._links.loop.cancel(("flush", id(self)))
            self._connection.close()
            self._links.agents.remove(self)


class Links:
    """The listening socket, and every agent that is connected."""

    def __init__(
        self, loop: Loop, listener: _socket.socket, take: Callable[[Agent, str, str], None]
    ) -> None:
        """*take* carries out (agent, verb, argument); OrderError is the answer ``no``."""
        self.loop = loop
        self.agents: list[Agent] = []
        self.greeting: Callable[[], list[str]] = list
        self._listener = listener
        self._take = take
        listener.setblocking(False)  # noqa: FBT003 - it takes no keyword
        loop.watch(listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            descriptor, _ = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - accept() is only in socket, which is too large
        except OSError:
            return
        connection = _socket.socket(fileno=descriptor)
        if len(self.agents) >= AGENTS_MAX:
            connection.close()
            return
        agent = Agent(self, connection)
        self.agents.append(agent)
        for line in self.greeting():
            agent.send(line)

    def order(self, agent: Agent, line: str) -> None:
        """Carry out one line and answer it."""
        number, _, order = line.partition(" ")
        verb, _, argument = order.partition(" ")
        try:
            self._take(agent, verb, unescape(argument))
        except OrderError as exc:
            agent.send(f"no {number} {exc}")
        else:
            agent.send(f"ok {number}")

    def broadcast(self, line: str) -> None:
        """Send a line to every agent."""
        for agent in list(self.agents):
            agent.send(line)

    def journal_written(self, last_seq: int) -> None:
        """Tell those who asked that there are entries up to *last_seq*."""
        for agent in list(self.agents):
            if 0 <= agent.journal_after < last_seq:
                agent.journal_after = -1
                agent.send("journal")

    def close(self) -> None:
        """Hang up on all and stop listening."""
        for agent in list(self.agents):
            agent.close()
        self.loop.unwatch(self._listener.fileno())
        self._listener.close()
