"""Huffman strings of HPACK, a byte at a time.

The ``hpack`` package has the automaton by half bytes; taking two steps at once, with the steps
remembered as they are first taken, is five times faster. That matters because grpc-go codes the
timeout of every call anew. All steps there are, 256 states by 256 bytes, take some 6 MiB; text
needs a few hundred of them.
"""

from typing import Final

#: From ``state << 8 | byte`` to the next state, what is put out, and whether a string may end.
_steps: Final[dict[int, tuple[int, bytes, int]]] = {}


def decode(coded: bytes) -> bytes:
    """Decode *coded* (RFC 7541, 5.2).

    Raises:
        ValueError: no such code, or padding that is not the start of the end mark.
    """
    state = 0
    complete = 1
    decoded = []
    for byte in coded:
        step = _steps.get(state << 8 | byte)
        if step is None:
            step = _take(state, byte)
        state, symbols, complete = step
        decoded.append(symbols)
    if not complete:
        raise ValueError("the string ends within a code")
    return b"".join(decoded)


def _take(state: int, byte: int) -> tuple[int, bytes, int]:
    # Imported when a string comes that needs it: our own programs send none, and the tables would
    # be a tenth of what ``c101ctl get`` takes.
    from hpack.huffman_table import (  # noqa: PLC0415
        HUFFMAN_COMPLETE,
        HUFFMAN_EMIT_SYMBOL,
        HUFFMAN_FAIL,
        HUFFMAN_TABLE,
    )

    start = state
    symbols = bytearray()
    flags = 0
    for half in (byte >> 4, byte & 0x0F):
        state, flags, symbol = HUFFMAN_TABLE[state << 4 | half]
        if flags & HUFFMAN_FAIL:
            raise ValueError("no such code")
        if flags & HUFFMAN_EMIT_SYMBOL:
            symbols.append(symbol)
    step = _steps[start << 8 | byte] = (state, bytes(symbols), flags & HUFFMAN_COMPLETE)
    return step
