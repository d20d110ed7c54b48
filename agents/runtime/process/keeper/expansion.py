"""Variables in command lines, and files of variables, as systemd reads them.

Imported only in a child, between fork and exec.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_WHITESPACE = " \t\r\n"
_IN_DOUBLE_QUOTES = '"\\`$'


def expand_words(words: list[str], environment: Mapping[str, str]) -> list[str]:
    """Return *words* with ``${NAME}``, ``$NAME`` and ``$$`` replaced (systemd.service(5)).

    ``${NAME}`` anywhere in a word gives exactly its value. A word that is ``$NAME`` becomes the
    words of its value, none when it is empty or not set. ``$$`` is a dollar sign.
    """
    expanded: list[str] = []
    for word in words:
        if len(word) > 1 and word[0] == "$" and _is_name(word[1:]):
            expanded += split_value(environment.get(word[1:], ""))
        else:
            expanded.append(expand_word(word, environment))
    return expanded


def expand_word(word: str, environment: Mapping[str, str]) -> str:
    """Replace ``${NAME}`` and ``$$`` in one word; any other dollar sign stays."""
    pieces = []
    position = 0
    while True:
        dollar = word.find("$", position)
        if dollar < 0:
            pieces.append(word[position:])
            return "".join(pieces)
        pieces.append(word[position:dollar])
        end = word.find("}", dollar)
        if word.startswith("$$", dollar):
            pieces.append("$")
            position = dollar + 2
        elif word.startswith("${", dollar) and end > 0 and _is_name(word[dollar + 2 : end]):
            pieces.append(environment.get(word[dollar + 2 : end], ""))
            position = end + 1
        else:
            pieces.append("$")
            position = dollar + 1


def split_value(value: str) -> list[str]:
    """Split at white space; quotes group and are removed."""
    words: list[str] = []
    current: str | None = None
    quote = ""
    for character in value:
        if quote:
            if character == quote:
                quote = ""
            else:
                current = (current or "") + character
        elif character in "\"'":
            quote = character
            current = current or ""
        elif character in _WHITESPACE:
            if current is not None:
                words.append(current)
            current = None
        else:
            current = (current or "") + character
    return words if current is None else [*words, current]


def parse_environment_file(text: str) -> list[tuple[str, str]]:
    """Return the assignments of an EnvironmentFile= (systemd.exec(5)); other lines are skipped."""
    pairs = []
    position = 0
    while position < len(text):
        line_end = text.find("\n", position)
        line_end = len(text) if line_end < 0 else line_end
        name, equals, _ = text[position:line_end].partition("=")
        name = name.strip(_WHITESPACE)
        if name.startswith(("#", ";")) or not equals:
            position = (
                _skip_comment(text, position) if name.startswith(("#", ";")) else line_end + 1
            )
            continue
        value, position = _value(text, text.index("=", position) + 1)
        if _is_name(name) and not name[0].isdigit():
            pairs.append((name, value))
    return pairs


def _skip_comment(text: str, position: int) -> int:
    """Return where the line after a comment begins; a backslash at its end continues it."""
    while position < len(text):
        end = text.find("\n", position)
        if end < 0:
            return len(text)
        if text[end - 1] != "\\":
            return end + 1
        position = end + 1
    return position


def _value(text: str, position: int) -> tuple[str, int]:
    """Read a value from *position*; return it and where the next line begins."""
    while position < len(text) and text[position] in " \t\r":
        position += 1
    if position < len(text) and text[position] in "\"'":
        quoted, position = _quoted(text, position)
        rest, position = _unquoted(text, position)
        return quoted + rest, position
    return _unquoted(text, position)


def _quoted(text: str, position: int) -> tuple[str, int]:
    quote = text[position]
    position += 1
    pieces = []
    while position < len(text) and text[position] != quote:
        character = text[position]
        if character == "\\" and quote == '"' and position + 1 < len(text):
            following = text[position + 1]
            if following in _IN_DOUBLE_QUOTES:
                pieces.append(following)
            elif following != "\n":
                pieces.append("\\" + following)
            position += 2
            continue
        pieces.append(character)
        position += 1
    return "".join(pieces), position + 1


def _unquoted(text: str, position: int) -> tuple[str, int]:
    pieces: list[str] = []
    kept = 0  # trailing white space is dropped unless it was escaped
    while position < len(text) and text[position] != "\n":
        if text[position] == "\\" and position + 1 < len(text):
            if text[position + 1] != "\n":
                pieces.append(text[position + 1])
                kept = len(pieces)
            position += 2
            continue
        pieces.append(text[position])
        if text[position] not in _WHITESPACE:
            kept = len(pieces)
        position += 1
    return "".join(pieces[:kept]), position + 1


def _is_name(text: str) -> bool:
    return bool(text) and _NAME.issuperset(text)
