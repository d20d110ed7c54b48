"""One grammar of filters, the same in every pane.

Words are joined by "and": ``web !staging machine:m2 /GET .*500/ ~wbsv``.

- ``web``         the row holds it, in any case of letters
- ``machine:m2``  that field begins with it; a field nobody has is looked for as text
- ``/re/``        a regular expression, up to the last slash
- ``~wbsv``       the letters in this order, with anything between
- ``!`` before any of them turns it around
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: The most characters of one text that a pattern is tried on: a pattern can be slow, a line long.
SEARCHED_CHARACTERS_MAX = 2_048

_TOKEN = re.compile(r"!?/(?:[^/\\]|\\.)*/|\S+")

Fields = Mapping[str, str]
Test = Callable[[str, Fields], bool]


class FilterError(ValueError):
    """The filter is not understood; the text says which word and why."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a user typed, ready to be asked.

    ``highlight`` is the first plain word, for the widget to mark in what it shows.
    """

    text: str = ""
    tests: tuple[Test, ...] = ()
    highlight: str = ""

    def __bool__(self) -> bool:
        """Say whether it hides anything."""
        return bool(self.tests)

    def matches(self, text: str, fields: Fields) -> bool:
        """Say whether a row, as one *text* and by its *fields*, passes every word."""
        searched = text[:SEARCHED_CHARACTERS_MAX]
        return all(test(searched, fields) for test in self.tests)


EVERYTHING = Filter()


def parse(text: str) -> Filter:
    """Read a filter as typed.

    Raises:
        FilterError: a regular expression is malformed.
    """
    words = _TOKEN.findall(text)
    tests = tuple(_test(word) for word in words)
    plain = (word for word in words if word[0] not in "!/~" and ":" not in word)
    return Filter(text.strip(), tests, next(plain, ""))


def _test(word: str) -> Test:
    if word.startswith("!") and len(word) > 1:
        inner = _test(word[1:])
        return lambda text, fields: not inner(text, fields)
    if len(word) > 2 and word.startswith("/") and word.endswith("/"):
        return _pattern(word[1:-1])
    if word.startswith("~") and len(word) > 1:
        return _pattern(".*?".join(map(re.escape, word[1:])))
    name, colon, wanted = word.partition(":")
    if colon and name.isalpha():
        return _field(name.lower(), wanted.lower(), word.lower())
    needle = word.lower()
    return lambda text, _: needle in text.lower()


def _pattern(source: str) -> Test:
    try:
        found = re.compile(source, re.IGNORECASE).search
    except re.error as exc:
        raise FilterError(f"/{source}/: {exc}") from exc
    return lambda text, _: found(text) is not None


def _field(name: str, wanted: str, word: str) -> Test:
    def test(text: str, fields: Fields) -> bool:
        held = fields.get(name)
        return word in text.lower() if held is None else held.lower().startswith(wanted)

    return test
