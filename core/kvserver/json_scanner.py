"""Finds where one JSON value ends in bytes that arrive cut anywhere, and what is wrong with it.

The gateway of etcd is Go's: what it says about malformed JSON is what its scanner says at the first
byte that cannot follow. Ours says the same, byte by byte, so that a value is looked at once however
it was cut; what it has found whole is then read by the standard library's parser.
"""

import re
from collections.abc import Callable
from typing import Final

#: Deeper nesting is refused: what reads the value afterwards is recursive.
DEPTH_MAX: Final = 400

#: Commas, colons and brackets of one value; more are refused. The largest transaction has some
#: thousands, and what reads the value afterwards does not stop on the way.
MARKS_MAX: Final = 20_000

_BLANK: Final = b" \t\r\n"
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS: Final = b"0123456789"
_HEX: Final = b"0123456789abcdefABCDEF"

_VALUE: Final = "looking for beginning of value"
_KEY: Final = "looking for beginning of object key string"
_AFTER_PAIR: Final = "after object key:value pair"
_AFTER_ELEMENT: Final = "after array element"

_State = Callable[[int], None]


class JsonError(Exception):
    """Something is no JSON, or no value of the type that is wanted."""


class JsonScanner:
    """Scans one value. ``done`` once its last byte was taken; ``begun`` once its first was."""

    def __init__(self) -> None:
        self.done = False
        self.begun = False
        self._state: _State = self._value
        # The kinds of what is open: { before a colon, : behind it, and [.
        self._open = bytearray()
        self._marks = 0
        self._literal = ""
        self._literal_at = 0
        self._hex_left = 0
        # Only a number ends before the byte that was looked at.
        self._left_last = False

    def feed(self, data: bytes, at: int = 0) -> int:
        """Take *data* from *at* on; return where the value ends, or the end of *data*.

        A number is ended by the byte behind it, which is left.

        Raises:
            JsonError: a byte cannot follow.
        """
        size = len(data)
        while at < size and not self.done:
            if self._state == self._string:
                at = self._plain_end(data, at)
                if at == size:
                    break
            byte = data[at]
            self._state(byte)
            if self._left_last:
                break
            at += 1
        return at

    @staticmethod
    def _plain_end(data: bytes, at: int) -> int:
        match = _PLAIN.match(data, at)
        assert match is not None
        return match.end()

    def finish(self) -> None:
        """Hear that no more comes. A number that could go on is done.

        Raises:
            JsonError: what came is the beginning of a value.
        """
        if not self.done and self._state in (
            self._zero,
            self._integer,
            self._fraction,
            self._power,
        ):
            self.feed(b" ")
        if not self.done:
            raise JsonError("unexpected EOF")

    # ---- values ----

    def _value(self, byte: int) -> None:
        if byte in _BLANK:
            return
        self.begun = True
        if byte == 0x7B:
            self._push(byte, self._first_key)
        elif byte == 0x5B:
            self._push(byte, self._first_element)
        elif byte == 0x22:
            self._state = self._string
        elif byte == 0x2D:
            self._state = self._minus
        elif byte == 0x30:
            self._state = self._zero
        elif byte in _DIGITS:
            self._state = self._integer
        elif byte in b"tfn":
            self._literal = {0x74: "true", 0x66: "false", 0x6E: "null"}[byte]
            self._literal_at = 1
            self._state = self._in_literal
        else:
            raise invalid(byte, _VALUE)

    def _push(self, kind: int, then: _State) -> None:
        self._count()
        if len(self._open) >= DEPTH_MAX:
            raise JsonError("exceeded max depth")
        self._open.append(kind)
        self._state = then

    def _count(self) -> None:
        self._marks += 1
        if self._marks > MARKS_MAX:
            raise JsonError(f"more than {MARKS_MAX} commas, colons and brackets in one value")

    def _ended(self) -> None:
        """Go on behind a value."""
        if not self._open:
            self.done = True
        elif self._open[-1] == 0x7B:
            self._state = self._after_key
        elif self._open[-1] == 0x3A:
            self._state = self._after_pair
        else:
            self._state = self._after_element

    def _pop(self) -> None:
        self._open.pop()
        self._ended()

    def _first_key(self, byte: int) -> None:
        if byte == 0x7D:
            self._pop()
        else:
            self._key(byte)

    def _key(self, byte: int) -> None:
        if byte == 0x22:
            self._state = self._string
        elif byte not in _BLANK:
            raise invalid(byte, _KEY)

    def _after_key(self, byte: int) -> None:
        if byte == 0x3A:
            self._count()
            self._open[-1] = byte
            self._state = self._value
        elif byte not in _BLANK:
            raise invalid(byte, "after object key")

    def _after_pair(self, byte: int) -> None:
        if byte == 0x2C:
            self._count()
            self._open[-1] = 0x7B
            self._state = self._key
        elif byte == 0x7D:
            self._pop()
        elif byte not in _BLANK:
            raise invalid(byte, _AFTER_PAIR)

    def _first_element(self, byte: int) -> None:
        if byte == 0x5D:
            self._pop()
        else:
            self._value(byte)

    def _after_element(self, byte: int) -> None:
        if byte == 0x2C:
            self._count()
            self._state = self._value
        elif byte == 0x5D:
            self._pop()
        elif byte not in _BLANK:
            raise invalid(byte, _AFTER_ELEMENT)

    # ---- strings, words and numbers ----

    def _string(self, byte: int) -> None:
        if byte == 0x22:
            self._ended()
        elif byte == 0x5C:
            self._state = self._escape
        elif byte < 0x20:
            raise invalid(byte, "in string literal")

    def _escape(self, byte: int) -> None:
        if byte in b'bfnrt\\/"':
            self._state = self._string
        elif byte == 0x75:
            self._hex_left = 4
            self._state = self._hexadecimal
        else:
            raise invalid(byte, "in string escape code")

    def _hexadecimal(self, byte: int) -> None:
        if byte not in _HEX:
            raise invalid(byte, "in \\u hexadecimal character escape")
        self._hex_left -= 1
        if not self._hex_left:
            self._state = self._string

    def _in_literal(self, byte: int) -> None:
        wanted = self._literal[self._literal_at]
        if byte != ord(wanted):
            raise invalid(byte, f"in literal {self._literal} (expecting '{wanted}')")
        self._literal_at += 1
        if self._literal_at == len(self._literal):
            self._ended()

    def _minus(self, byte: int) -> None:
        if byte not in _DIGITS:
            raise invalid(byte, "in numeric literal")
        self._state = self._zero if byte == 0x30 else self._integer

    def _integer(self, byte: int) -> None:
        if byte not in _DIGITS:
            self._zero(byte)

    def _zero(self, byte: int) -> None:
        if byte == 0x2E:
            self._state = self._point
        elif byte in b"eE":
            self._state = self._exponent
        else:
            self._number_ended(byte)

    def _point(self, byte: int) -> None:
        if byte not in _DIGITS:
            raise invalid(byte, "after decimal point in numeric literal")
        self._state = self._fraction

    def _fraction(self, byte: int) -> None:
        if byte in b"eE":
            self._state = self._exponent
        elif byte not in _DIGITS:
            self._number_ended(byte)

    def _exponent(self, byte: int) -> None:
        if byte in b"+-":
            self._state = self._signed_exponent
        else:
            self._signed_exponent(byte)

    def _signed_exponent(self, byte: int) -> None:
        if byte not in _DIGITS:
            raise invalid(byte, "in exponent of numeric literal")
        self._state = self._power

    def _power(self, byte: int) -> None:
        if byte not in _DIGITS:
            self._number_ended(byte)

    def _number_ended(self, byte: int) -> None:
        self._ended()
        if self.done:
            self._left_last = True
        else:
            self._state(byte)


def invalid(byte: int, context: str) -> JsonError:
    """Say that *byte* cannot stand where it stands."""
    return JsonError(f"invalid character {_quoted(byte)} {context}")


def _quoted(byte: int) -> str:
    """Write *byte* as Go writes a character: in quotes, escaped when it is not printable."""
    character = chr(byte)
    if character in "'\\":
        return f"'\\{character}'"
    special = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}
    if byte in special:
        return f"'{special[byte]}'"
    if character.isprintable():
        return f"'{character}'"
    return f"'\\x{byte:02x}'" if byte < 0x80 else f"'\\u{byte:04x}'"
