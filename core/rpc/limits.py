"""Every bound of the RPC layer, by name, with what happens when it is reached."""

from collections.abc import Callable
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

#: The largest frame payload taken or sent: HTTP/2's own default, which every peer accepts.
#: A larger one ends the connection with FRAME_SIZE_ERROR.
FRAME_BYTES_MAX = 16_384

#: The window of a connection, and of a stream before SETTINGS say otherwise (RFC 9113 6.9.2).
WINDOW_BYTES_DEFAULT = 65_535

#: A window past this is FLOW_CONTROL_ERROR (RFC 9113 6.9.1).
WINDOW_BYTES_MAX = 2**31 - 1

#: CONTINUATION frames in one header block; one more ends the connection.
CONTINUATIONS_MAX = 64

#: The HPACK table the other side may fill here: the protocol's default, never raised.
HEADER_TABLE_BYTES_MAX = 4_096

#: Bytes handed to a transport in one write; streams take turns for the rest.
OUTPUT_BYTES_MAX = 256 * KIB

#: Bytes one stream sends before the next gets its turn.
TURN_BYTES_MAX = 64 * KIB

#: A transport holding more than this pauses all streams of its connection.
WRITE_BUFFER_BYTES_MAX = 1 * MIB

#: Frames, and messages within them, that are taken out of what was read before others get a turn;
#: the rest waits, and nothing more is read meanwhile. A small request is two frames.
FRAMES_PER_TURN = 256

#: Messages that the reader of a stream finds waiting before others get a turn.
MESSAGES_PER_TURN = 64

#: How long the last frames of a connection that ends may take to leave.
LAST_WORDS_SECONDS = 5.0

#: Answers to control frames written while the peer reads nothing; one more ends the connection.
UNREAD_CONTROL_FRAMES_MAX = 1_000

#: Header blocks remembered by their bytes; when full the memory is emptied.
HEADER_BLOCKS_MAX = 256

#: A longer header block is decoded each time: it is not worth remembering.
HEADER_BLOCK_BYTES_REMEMBERED_MAX = 1 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection may cost; the same on both sides.

    ``message_bytes_max``: a longer message is refused with RESOURCE_EXHAUSTED. The default is
    etcd's (1.5 MiB and 512 KiB of overhead).
    ``header_list_bytes_max``: a call with more metadata is refused with RESOURCE_EXHAUSTED; a
    header block of more bytes ends the connection.
    ``streams_max``: open streams of the other side; one more is refused (REFUSED_STREAM).
    ``stream_window_bytes``: what a sender may have on the way that the consumer has not read.
    ``connection_window_bytes``: the same for the connection; given back as it arrives, since
    the streams' windows bound what is held.
    ``held_bytes_max``: incomplete and unread messages of one connection; the stream that passes
    it is refused with RESOURCE_EXHAUSTED.
    ``pending_bytes_max``: what waits for a reader: of one connection before calls on it are
    refused (REFUSED_STREAM), of one stream before ``send`` raises RESOURCE_EXHAUSTED.
    ``drain_bytes_low``: ``drain()`` returns when fewer wait.
    ``pings_burst``, ``pings_per_second``: PING, SETTINGS and empty DATA frames that no DATA
    of ours explains; more end the connection with ENHANCE_YOUR_CALM.
    ``resets_burst``, ``resets_per_second``: streams that a client cancels or breaks; as above.
    ``connections_max``: connections of one server; one more is closed at once.
    ``preface_seconds``: a connection that has not said what it speaks by then is closed.
    """

    message_bytes_max: int = 2 * MIB
    header_list_bytes_max: int = 16 * KIB
    streams_max: int = 4_096
    stream_window_bytes: int = 1 * MIB
    connection_window_bytes: int = 4 * MIB
    held_bytes_max: int = 64 * MIB
    pending_bytes_max: int = 64 * MIB
    drain_bytes_low: int = 64 * KIB
    pings_burst: int = 200
    pings_per_second: float = 10.0
    resets_burst: int = 1_000
    resets_per_second: float = 100.0
    connections_max: int = 10_000
    preface_seconds: float = 10.0


class Rate:
    """A token bucket: *burst* at once, refilled at *per_second*."""

    __slots__ = ("_at", "_burst", "_now", "_per_second", "_tokens")

    def __init__(self, burst: int, per_second: float, now: Callable[[], float]) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._now = now
        self._tokens = self._burst
        self._at = now()

    def take(self) -> bool:
        """Take one token; return whether there was one."""
        at = self._now()
        self._tokens = min(self._burst, self._tokens + (at - self._at) * self._per_second)
        self._at = at
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
