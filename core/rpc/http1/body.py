"""The body of a request, without I/O: by its length, or in chunks (RFC 9112, 6 and 7)."""

import re
from typing import Protocol

from c101.core.rpc.http1.limits import (
    CHUNK_LINE_BYTES_MAX,
    HEAD_BYTES_MAX,
    PIECE_BYTES_MAX,
    PIECE_CHUNKS_MAX,
)
from c101.core.rpc.http1.request import HttpError, parse_field

# A size, and extensions that mean nothing to us.
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\Z")


class Body(Protocol):
    """A body that is being read. ``done`` once its last byte was taken."""

    done: bool

    def take(self, data: bytes, at: int) -> tuple[bytes, int]:
        """Return the next piece found in *data* from *at* on, and where it ends.

        A piece is at most PIECE_BYTES_MAX long; it is empty when more has to arrive first, or
        when the body is done. Raises HttpError for what is no body.
        """
        ...


class LengthBody:
    """A body of *length* bytes."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = not length

    def take(self, data: bytes, at: int) -> tuple[bytes, int]:
        """Return the next bytes (``Body``)."""
        piece = data[at : at + min(self._left, PIECE_BYTES_MAX)]
        self._left -= len(piece)
        self.done = not self._left
        return piece, at + len(piece)


class ChunkedBody:
    """A body in chunks. Its trailers are checked and dropped: nothing here reads any."""

    def __init__(self) -> None:
        self.done = False
        # Bytes of the chunk that are still to come; its line end is owed once they came.
        self._left = 0
        self._line_end_owed = False
        self._in_trailers = False
        self._trailer_bytes = 0

    def take(self, data: bytes, at: int) -> tuple[bytes, int]:
        """Return the next bytes, of one chunk or of several small ones (``Body``)."""
        parts: list[bytes] = []
        room = PIECE_BYTES_MAX
        for _ in range(PIECE_CHUNKS_MAX):
            if self._left:
                part = data[at : at + min(self._left, room)]
                at += len(part)
                room -= len(part)
                self._left -= len(part)
                parts.append(part)
                if self._left or not room:
                    break
            found, at = self._next_chunk(data, at)
            if not found:
                break
        return b"".join(parts), at

    def _next_chunk(self, data: bytes, at: int) -> tuple[bool, int]:
        """Read up to the first byte of the next chunk; return whether it is reached, and where."""
        if self._line_end_owed:
            if len(data) - at < 2:
                if data[at : at + 1] not in (b"", b"\r"):
                    raise HttpError(400, "a chunk is longer than it said")
                return False, at
            if data[at : at + 2] != b"\r\n":
                raise HttpError(400, "a chunk is longer than it said")
            self._line_end_owed = False
            at += 2
        if self._in_trailers:
            return False, self._skip_trailers(data, at)
        line, end = _line(data, at, CHUNK_LINE_BYTES_MAX, HttpError(400, "chunk line too long"))
        if line is None:
            return False, at
        match = _CHUNK_LINE.match(line)
        if match is None:
            raise HttpError(400, "malformed chunk size")
        self._left = int(match[1], 16)
        if self._left:
            self._line_end_owed = True
            return True, end
        self._in_trailers = True
        return False, self._skip_trailers(data, end)

    def _skip_trailers(self, data: bytes, at: int) -> int:
        too_large = HttpError(431, "trailers too large")
        while True:
            line, end = _line(data, at, HEAD_BYTES_MAX, too_large)
            if line is None:
                return at
            self._trailer_bytes += end - at
            if self._trailer_bytes > HEAD_BYTES_MAX:
                raise too_large
            at = end
            if not line:
                self.done = True
                return at
            parse_field(line.decode("latin-1"))


def _line(data: bytes, at: int, bytes_max: int, too_long: HttpError) -> tuple[bytes | None, int]:
    """Return the line at *at* and where the next begins; no line when its end is to come."""
    end = data.find(b"\n", at, at + bytes_max)
    if end < 0:
        if len(data) - at >= bytes_max:
            raise too_long
        return None, at
    if end == at or data[end - 1] != 0x0D:
        raise HttpError(400, "a line does not end in CR LF")
    line = data[at : end - 1]
    if b"\r" in line:
        raise HttpError(400, "a line does not end in CR LF")
    return line, end + 1


def body_of(length: int | None) -> Body:
    """Return the reader of a body of *length* bytes, or in chunks for ``None``."""
    return ChunkedBody() if length is None else LengthBody(length)
