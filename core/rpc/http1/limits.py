"""Every bound of HTTP/1.1, by name, with what happens when it is reached."""

from dataclasses import dataclass
from typing import Final

#: A request line and its fields together, or the trailers of a body; more is answered 431.
HEAD_BYTES_MAX: Final = 16_384

#: Fields of one request; more is answered 431.
FIELDS_MAX: Final = 100

#: The line that gives the size of a chunk, with its extensions; a longer one is answered 400.
CHUNK_LINE_BYTES_MAX: Final = 256

#: A piece of a body is at most this long, and made of at most so many chunks: a handler that
#: gives others a turn between pieces holds nobody up, however the body was cut.
PIECE_BYTES_MAX: Final = 16_384
PIECE_CHUNKS_MAX: Final = 500

#: Bytes that arrived and were not asked for yet; at more, reading stops until they were.
UNREAD_BYTES_MAX: Final = 65_536

#: What is left of a body whose handler has answered is read and dropped up to here, so that the
#: connection can go on and the answer is not lost in a reset; then it is closed.
DROPPED_BYTES_MAX: Final = 16 * 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Http1Limits:
    """How long one connection may take.

    ``head_seconds``: from the first byte of a request to the end of its head; then 408.
    ``idle_seconds``: between requests; then the connection is closed without a word.
    ``body_seconds``: for a part of a body that its handler needs whole; then 408.
    ``stalled_seconds``: input that nobody asks for, once it is too much to hold; then the
    connection is closed: while nothing is read, a client that left would not be noticed.
    ``drop_seconds``: for the rest of a body that nobody reads; then the connection is closed.
    ``linger_seconds``: for the client to read our last words before the connection is closed: what
    it still sends would have the kernel reset the connection and take them back.
    ``half_closed_seconds``: for answers to a client that sends no more; then it is closed.
    """

    head_seconds: float = 10.0
    idle_seconds: float = 120.0
    body_seconds: float = 60.0
    stalled_seconds: float = 30.0
    drop_seconds: float = 5.0
    linger_seconds: float = 1.0
    half_closed_seconds: float = 5.0
