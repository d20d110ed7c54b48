"""CRC-32C (Castagnoli), with which etcdctl names the contents of a snapshot.

Python has no function for it. Tables of 65,536 entries take four bytes at a step: some tens
of megabytes a second.
"""

import sys
from array import array
from functools import cache
from typing import Final

_POLYNOMIAL: Final = 0x82F63B78
_WORD: Final = array("I").itemsize
#: What is gathered before it is taken into the checksum.
_GATHERED_BYTES: Final = 64 << 10


@cache
def _tables() -> tuple[list[int], list[int], list[int]]:
    """Return what one, two and four bytes of zeros make of each byte, and of each two bytes."""
    single: list[int] = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        single.append(value)
    double: list[int] = []
    for pair in range(1 << 16):
        value = single[pair & 255] ^ pair >> 8
        double.append(single[value & 255] ^ value >> 8)
    fourfold = [double[value & 0xFFFF] ^ value >> 16 for value in double]
    return single, double, fourfold


class Crc32c:
    """The checksum of what ``update`` was given, in order."""

    def __init__(self) -> None:
        assert _WORD == 4
        self._value = 0xFFFFFFFF
        self._gathered = bytearray()

    def update(self, data: bytes) -> None:
        """Take *data*."""
        self._gathered += data
        if len(self._gathered) >= _GATHERED_BYTES:
            whole = len(self._gathered) // _WORD * _WORD
            self._take(bytes(self._gathered[:whole]))
            del self._gathered[:whole]

    def _take(self, data: bytes) -> None:
        _, double, fourfold = _tables()
        words = array("I", data)
        if sys.byteorder == "big":
            words.byteswap()
        value = self._value
        for word in words:
            value ^= word
            value = fourfold[value & 0xFFFF] ^ double[value >> 16]
        self._value = value

    def digest(self) -> int:
        """Return the checksum so far."""
        single, _, _ = _tables()
        whole = len(self._gathered) // _WORD * _WORD
        self._take(bytes(self._gathered[:whole]))
        del self._gathered[:whole]
        value = self._value
        for byte in self._gathered:
            value = single[(value ^ byte) & 255] ^ value >> 8
        return value ^ 0xFFFFFFFF
