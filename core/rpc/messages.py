"""gRPC's length-prefixed messages: one flag byte, four bytes of length, the message."""

from struct import Struct

from c101.core.rpc.status import Code, RpcError

PREFIX_BYTES = 5

#: The compression flag and the length at the start of a message.
unpack_prefix = Struct(">BI").unpack_from


def prefix(size: int) -> bytes:
    """Build what goes before an uncompressed message of *size* bytes."""
    return b"\0" + size.to_bytes(4, "big")


def prefixed(message: bytes) -> bytes:
    """Build an uncompressed message as it goes into DATA."""
    return prefix(len(message)) + message


class MessageReader:
    """Cuts a stream's bytes into messages, however they were framed.

    Chunks are joined once a message is complete: a large message in small frames costs one copy.
    """

    __slots__ = ("_bytes_max", "_chunks", "_have", "_need")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._chunks: list[bytes] = []
        self._have = 0
        # What must be there before anything more can be said: a prefix, or prefix and message.
        self._need = PREFIX_BYTES

    @property
    def empty(self) -> bool:
        """Whether the last message ended exactly where the bytes did."""
        return not self._have

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes; return the messages they complete.

        Raises:
            RpcError: a compressed message (UNIMPLEMENTED, none is ever negotiated) or one over
                the limit (RESOURCE_EXHAUSTED, grpc-go's text).
        """
        self._chunks.append(chunk)
        self._have += len(chunk)
        messages: list[bytes] = []
        if self._have < self._need:
            return messages
        data = b"".join(self._chunks) if len(self._chunks) > 1 else chunk
        at = 0
        size = len(data)
        while size - at >= PREFIX_BYTES:
            end = at + PREFIX_BYTES + self._length(data, at)
            if end > size:
                self._need = end - at
                break
            messages.append(data[at + PREFIX_BYTES : end])
            at = end
            self._need = PREFIX_BYTES
        self._have = size - at
        self._chunks = [data[at:]] if at < size else []
        return messages

    def _length(self, data: bytes, at: int) -> int:
        flag, length = unpack_prefix(data, at)
        if flag == 1:
            raise RpcError(Code.UNIMPLEMENTED, "grpc: compressed messages are not supported")
        if flag:
            raise RpcError(Code.INTERNAL, f"grpc: invalid compression flag {flag}")
        if length > self._bytes_max:
            text = f"grpc: received message larger than max ({length} vs. {self._bytes_max})"
            raise RpcError(Code.RESOURCE_EXHAUSTED, text)
        return int(length)
