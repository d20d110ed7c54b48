"""A header block that came in parts."""


class HeaderPart:
    """A header block whose CONTINUATION frames are still to come."""

    __slots__ = ("block", "continuations", "end_stream", "stream_id")

    def __init__(self, stream_id: int, block: bytes, end_stream: int) -> None:
        self.stream_id = stream_id
        self.block = block
        self.end_stream = end_stream
        self.continuations = 0
