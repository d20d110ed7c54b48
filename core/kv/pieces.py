"""Long answers as a list of pieces: small items joined, never the whole.

One join of 30 MB holds the loop for 10 ms and more. Pieces are whole items, so whoever cuts a
response between events may cut between pieces.
"""

from collections.abc import Sequence

#: A piece is finished when it has this many bytes.
PIECE_BYTES = 128 << 10
#: A larger item is a piece by itself: copying it would cost more than a frame more does.
COPIED_BYTES_MAX = 16 << 10


class Pieces:
    """Items in order, gathered into pieces; ``size`` is the bytes of all."""

    __slots__ = ("_gathered", "_items", "_pieces", "size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._items: list[bytes] = []
        self._gathered = 0
        self.size = 0

    def add(self, item: bytes) -> None:
        """Take one item."""
        size = len(item)
        self.size += size
        if size > COPIED_BYTES_MAX:
            self._close()
            self._pieces.append(item)
            return
        self._items.append(item)
        self._gathered += size
        if self._gathered >= PIECE_BYTES:
            self._close()

    def extend(self, items: Sequence[bytes]) -> None:
        """Take *items*, some hundred of them at most."""
        size = sum(map(len, items))
        if size > PIECE_BYTES:
            for item in items:
                self.add(item)
            return
        self.size += size
        self._items += items
        self._gathered += size
        if self._gathered >= PIECE_BYTES:
            self._close()

    def _close(self) -> None:
        if self._items:
            self._pieces.append(b"".join(self._items))
            self._items = []
            self._gathered = 0

    def take(self) -> list[bytes]:
        """Return the pieces; nothing is left here."""
        self._close()
        pieces, self._pieces = self._pieces, []
        self.size = 0
        return pieces
