"""Command lines of Exec directives: prefixes, the program, its arguments (systemd.service(5))."""

from collections.abc import Callable

from c101.agents.runtime.process.keeper.spec import Command
from c101.core.units.words import split_commands

#: ``@`` takes argv[0] from the line, ``-`` forgives failure, ``:`` leaves ``$`` alone; ``+`` and
#: ``!`` keep the runtime's own user. ``!!`` is without effect where the kernel knows ambient
#: capabilities, as every kernel does that is not ten years old.
_PREFIXES = "@-:+!"
_USER_PREFIXES = ("+", "!", "!!")


def parse_commands(value: str, expand: Callable[[str], str]) -> list[Command]:
    """Return the commands of one Exec value; *expand* replaces specifiers in a word.

    Raises ValueError: a program that is neither an absolute path nor a plain name, prefixes that
    exclude one another. Raises C101Error: malformed quotes, an unknown specifier.
    """
    return [_command(words, expand) for words in split_commands(value)]


def _command(words: list[str], expand: Callable[[str], str]) -> Command:
    first = words[0]
    program = first.lstrip(_PREFIXES)
    prefixes = first[: len(first) - len(program)]
    as_user = "".join(character for character in prefixes if character in "+!")
    if as_user and as_user not in _USER_PREFIXES:
        raise ValueError(f"the prefixes {prefixes!r} exclude one another")
    for character in "@-:":
        if prefixes.count(character) > 1:
            raise ValueError(f"the prefix {character!r} stands twice")
    path = expand(program)
    _check_program(path)
    argv = [path, *(expand(word) for word in words[1:])]
    if "@" in prefixes:
        if len(argv) == 1:
            raise ValueError("the prefix '@' needs a second word, for argv[0]")
        del argv[0]
    flags = prefixes.replace("!!", "").replace("@", "")
    return path, argv, flags


def _check_program(path: str) -> None:
    if not path:
        raise ValueError("no program after the prefix")
    if not path.startswith("/") and "/" in path:
        raise ValueError(f"{path!r} is neither an absolute path nor a plain name")
    if path.endswith("/"):
        raise ValueError(f"{path!r} is a directory")
