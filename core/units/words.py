r"""Values split into words as systemd splits them: ExecStart=, Environment=, every list of words.

The rules are those of its ``extract_first_word`` with unquoting and C escapes.
Words are separated by white space. Single and double quotes group, anywhere in a word, and are
removed; inside and outside of both, a backslash begins an escape::

    /bin/echo "a b" c'd e' \x41\t   ->   ["/bin/echo", "a b", "cd e", "A<TAB>"]

An escape that systemd does not know stays as it is written, backslash included.
"""

import re
from dataclasses import dataclass, field

from c101.core.errors import C101Error

#: More words than this in one value is no command line (execve refuses far fewer bytes).
WORDS_MAX = 65_536

_WHITESPACE = " \t\n\r"
_SIMPLE = {
    "a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11,
    "\\": 92, '"': 34, "'": 39, "s": 32,
}  # fmt: skip
_NUMERIC = re.compile(
    r"x(?P<hex>[0-9a-fA-F]{2})|(?P<octal>[0-3][0-7]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class WordsError(C101Error):
    """A value cannot be split into words. Who knows the file and line says them."""

    code = "unit_file"


@dataclass(slots=True)
class _Word:
    """A word, and whether any of it was quoted or escaped (then ``;`` is only a semicolon)."""

    raw: bytearray = field(default_factory=bytearray)
    literal: bool = False

    def text(self) -> str:
        # Bytes given as \xff that are no UTF-8 survive as surrogates: os.fsencode gives them back.
        return self.raw.decode(errors="surrogateescape")


def split_words(text: str) -> list[str]:
    """Return the words of *text*.

    Raises WordsError: a quote is not closed, or there are more than WORDS_MAX words.
    """
    return [word.text() for word in _words(text)]


def split_commands(text: str) -> list[list[str]]:
    r"""Return the commands of an Exec line: words, separated by a bare ``;``.

    ``\;`` and ``";"`` are plain words. Empty commands are left out. Raises WordsError.
    """
    commands: list[list[str]] = [[]]
    for word in _words(text):
        if word.raw == b";" and not word.literal:
            commands.append([])
        elif word.raw == b"\\;":
            commands[-1].append(";")
        else:
            commands[-1].append(word.text())
    return [command for command in commands if command]


def split_assignments(text: str) -> list[tuple[str, str]]:
    """Return the (name, value) pairs of an Environment= value; values may be empty.

    Raises WordsError: a word is no ``NAME=VALUE`` or its name is none for a variable.
    """
    pairs = []
    for word in split_words(text):
        name, equals, value = word.partition("=")
        if not equals or not _VARIABLE.fullmatch(name):
            raise WordsError(f"not an assignment of the form NAME=VALUE: {word[:80]!r}")
        pairs.append((name, value))
    return pairs


def quote_word(word: str) -> str:
    """Return *word* so that :func:`split_words` gives it back as one word."""
    if word and not any(character in _WHITESPACE + "\"'\\;" for character in word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"'


def _words(text: str) -> list[_Word]:
    found: list[_Word] = []
    position = 0
    while True:
        while position < len(text) and text[position] in _WHITESPACE:
            position += 1
        if position == len(text):
            return found
        if len(found) == WORDS_MAX:
            raise WordsError(f"more than {WORDS_MAX} words")
        word, position = _next_word(text, position)
        found.append(word)


def _next_word(text: str, position: int) -> tuple[_Word, int]:
    word = _Word()
    quote = ""
    while position < len(text):
        character = text[position]
        position += 1
        if character == "\\":
            raw, position = _escape(text, position)
            word.raw += raw
            word.literal = True
        elif quote:
            if character == quote:
                quote = ""
            else:
                word.raw += character.encode(errors="surrogateescape")
        elif character in "\"'":
            quote = character
            word.literal = True
        elif character in _WHITESPACE:
            break
        else:
            word.raw += character.encode(errors="surrogateescape")
    if quote:
        raise WordsError(f"the quote {quote} is not closed")
    return word, position


def _escape(text: str, position: int) -> tuple[bytes, int]:
    """Read the escape whose backslash ended at *position*; return its bytes and where it ends."""
    if position == len(text):
        return b"\\", position
    character = text[position]
    if character in _SIMPLE:
        return bytes([_SIMPLE[character]]), position + 1
    numeric = _NUMERIC.match(text, position)
    raw = _number(numeric) if numeric is not None else b""
    if numeric is None or not raw:
        return b"\\" + character.encode(errors="surrogateescape"), position + 1
    return raw, numeric.end()


def _number(match: re.Match[str]) -> bytes:
    r"""Return the bytes of ``\xHH``, ``\NNN``, ``\uXXXX`` or ``\UXXXXXXXX``.

    Empty for NUL and for what is no character, which systemd refuses too.
    """
    if match["hex"] or match["octal"]:
        value = int(match["hex"], 16) if match["hex"] else int(match["octal"], 8)
        return bytes([value]) if value else b""
    value = int(match["short"] or match["long"], 16)
    is_surrogate = 0xD800 <= value <= 0xDFFF
    return chr(value).encode() if 0 < value <= 0x10FFFF and not is_surrogate else b""
