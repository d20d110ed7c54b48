"""Keys and the ends of key ranges, as the wire wants them."""

#: A key or a value. Text is sent as UTF-8.
Bytes = bytes | str

#: As the end of a range: every key from its beginning on (etcd's own convention).
FROM_KEY = b"\0"


def as_bytes(text: Bytes) -> bytes:
    """Return *text* as it goes on the wire."""
    return text.encode() if isinstance(text, str) else text


def prefix_end(prefix: bytes) -> bytes:
    r"""Return the end of the range of every key that begins with *prefix*.

    The last byte that can grow grows by one, what follows it falls away::

        a/        ->  a0
        a\xff     ->  b
        \xff      ->  FROM_KEY: nothing sorts behind it
        (empty)   ->  FROM_KEY
    """
    stem = prefix.rstrip(b"\xff")
    if not stem:
        return FROM_KEY
    return stem[:-1] + bytes([stem[-1] + 1])


def prefix_start(prefix: bytes) -> bytes:
    """Return the first key of the range of *prefix*; an empty one means all keys."""
    return prefix or FROM_KEY
