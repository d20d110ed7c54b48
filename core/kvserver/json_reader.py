"""The JSON values of a request's body, one after the other, as they arrive."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from c101.core.kvserver.json_scanner import JsonScanner
from c101.core.rpc.http1.exchange import Exchange
from c101.core.rpc.http1.request import HttpError
from c101.core.rpc.status import Code, RpcError

#: A longer value is refused: the largest message of the RPC, 2 MiB, is 2.8 MB of base64.
VALUE_BYTES_MAX: Final = 3 * 1_048_576


class JsonReader:
    """Reads the body of *exchange*. *give_turn* lets others work between its pieces.

    A value has to come within the connection's ``body_seconds``. With *patient*, any time may pass
    before its first byte: the values of a stream come when there is something to say.
    """

    def __init__(
        self, exchange: Exchange, give_turn: Callable[[], Awaitable[None]], *, patient: bool
    ) -> None:
        self._exchange = exchange
        self._give_turn = give_turn
        self._patient = patient
        self._piece = b""
        self._ended = False

    async def next_value(self) -> bytes | None:
        """Return the bytes of the next value, ``None`` at the end of the body.

        Raises:
            JsonError: what comes is no JSON.
            RpcError: RESOURCE_EXHAUSTED, it is too long.
            HttpError: it does not come in time.
        """
        scanner = JsonScanner()
        seconds = self._exchange.connection.limits.body_seconds
        try:
            async with asyncio.timeout(None if self._patient else seconds) as limit:
                first = await self._first_part(scanner)
                if first is None:
                    return None
                limit.reschedule(asyncio.get_running_loop().time() + seconds)
                parts = await self._rest(scanner, first)
        except TimeoutError:
            raise HttpError(408, "the request took too long") from None
        if not scanner.done:
            scanner.finish()
        return b"".join(parts)

    async def _first_part(self, scanner: JsonScanner) -> bytes | None:
        """Wait for the first bytes of a value and scan them; ``None`` when there is none."""
        while self._piece or await self._read():
            part = self._scan(scanner)
            if scanner.begun:
                return part
        return None

    async def _rest(self, scanner: JsonScanner, first: bytes) -> list[bytes]:
        parts = [first]
        size = len(first)
        while not scanner.done and await self._read():
            part = self._scan(scanner)
            parts.append(part)
            size += len(part)
            if size > VALUE_BYTES_MAX:
                text = f"c101: a JSON value larger than max ({VALUE_BYTES_MAX})"
                raise RpcError(Code.RESOURCE_EXHAUSTED, text)
        return parts

    def _scan(self, scanner: JsonScanner) -> bytes:
        end = scanner.feed(self._piece)
        part, self._piece = self._piece[:end], self._piece[end:]
        return part

    async def _read(self) -> bool:
        """Read another piece of the body; return whether there was one."""
        if self._ended:
            return False
        await self._give_turn()
        self._piece = await self._exchange.read()
        self._ended = not self._piece
        return not self._ended
