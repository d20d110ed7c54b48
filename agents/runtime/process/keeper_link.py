"""The agent's side of a keeper's socket; the protocol is in ``keeper/link.py``."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from c101.agents.runtime.process.keeper.record import escape
from c101.agents.runtime.process.keeper.status import Status
from c101.core.errors import C101Error, LinkLostError, ProtocolError

#: A keeper's line is never longer; one that is ends the link.
LINE_BYTES_MAX = 256 * 1024


class OrderRefusedError(C101Error):
    """The keeper cannot carry out the order."""

    code = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEvents:
    """What the owner of a link is told."""

    state: Callable[[Status], None]
    journal: Callable[[], None]
    gone: Callable[[], None]
    lost: Callable[[], None]


class KeeperLink(asyncio.Protocol):
    """A connection to one keeper."""

    def __init__(self, unit: str, events: LinkEvents) -> None:
        self.greeted = False
        self._unit = unit
        self._events = events
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answers: dict[str, asyncio.Future[None]] = {}
        self._last_number = 0
        self._armed = False

    async def order(self, verb: str, argument: str = "") -> None:
        """Give an order and wait until it is taken.

        Raises OrderRefusedError. Raises LinkLostError: whether it was taken is not known.
        """
        if self._transport is None or self._transport.is_closing():
            raise self._lost()
        self._last_number += 1
        number = str(self._last_number)
        answer = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            self._transport.write(f"{number} {verb} {escape(argument)}\n".encode())
            await answer
        finally:
            self._answers.pop(number, None)

    def arm(self, after_seq: int) -> None:
        """Ask to be told once of journal entries after *after_seq*, unless that is so already."""
        if not self._armed and self._transport is not None:
            self._armed = True
            self._transport.write(f"0 journal {after_seq}\n".encode())

    def close(self) -> None:
        """Hang up without a word to the owner."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport (asyncio)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Handle whole lines (asyncio)."""
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace"))
        if len(self._received) > LINE_BYTES_MAX and self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how does not matter
        """Fail what was not answered, and tell the owner (asyncio)."""
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self._lost())
        if self._transport is not None:
            self._transport = None
            self._events.lost()

    def _line(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "hello":
            self.greeted = True
        elif word == "state":
            self._events.state(Status.decode(rest))
        elif word == "journal":
            self._armed = False
            self._events.journal()
        elif word == "gone":
            self._events.gone()
        elif word in {"ok", "no"}:
            self._answer(word, *rest.partition(" ")[::2])
        else:
            raise ProtocolError(f"keeper of {self._unit}: unknown message {word[:32]!r}")

    def _answer(self, word: str, number: str, reason: str) -> None:
        answer = self._answers.get(number)
        if answer is None or answer.done():
            return
        if word == "ok":
            answer.set_result(None)
        else:
            answer.set_exception(OrderRefusedError(reason))

    def _lost(self) -> LinkLostError:
        return LinkLostError(f"the keeper of {self._unit} has gone")
