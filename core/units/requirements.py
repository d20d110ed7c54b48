"""What a unit asks of the cluster: the options of ``[X-Fleet]``, also spelled ``[X-C101]``.

The semantics are fleet's, with two differences that its users asked for: what is malformed or
unknown is refused instead of dropped, and MachineID may stand beside Conflicts.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType
from typing import Literal, Self

from c101.core.errors import C101Error, InvalidNameError
from c101.core.units.file import Option, UnitFile, UnitFileError
from c101.core.units.globs import compile_glob, matches
from c101.core.units.name import UnitName
from c101.core.units.specifiers import SpecifierError, expand

SECTIONS = frozenset({"X-Fleet", "X-C101"})

#: Names of older fleet files, and what they are called here.
LEGACY = MappingProxyType(
    {
        "X-ConditionMachineID": "MachineID",
        "X-ConditionMachineBootID": "MachineID",
        "X-ConditionMachineOf": "MachineOf",
        "X-ConditionMachineMetadata": "MachineMetadata",
        "X-Conflicts": "Conflicts",
    }
)
#: Which of them counts where several are given (fleet: job.RequiredTarget).
_MACHINE_ID_ORDER = ("MachineID", "X-ConditionMachineID", "X-ConditionMachineBootID")

#: What happens to a unit when a unit that it refers to moves.
WhenMoved = Literal["restart", "reload", "nothing"]

#: What a secret may be called: it is a credential's name to systemd, and a file's.
CREDENTIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
CREDENTIAL_HINT = "letters, digits and _ . -, at most 64, neither . nor - the first"

_TRUE = frozenset({"true", "yes", "1", "on", "t"})
_FALSE = frozenset({"false", "no", "0", "off", "f"})
_MACHINE_ID = re.compile(r"[A-Za-z0-9:_.@-]{1,255}")
_METADATA_KEY = re.compile(r"[A-Za-z0-9_./-]+")
_QUOTED_OR_SPACE = re.compile(r'"([^"]*)"|[^\s"]+')


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """Where a unit may run, and what it is to others (see ``references``).

    ``machine_id`` is a whole id or its first eight characters. ``machine_of`` names units that it
    must share a machine with, all of them. ``metadata``: any of the values of a key will do, every
    key must (OR within a key, AND over keys). ``conflicts`` and ``replaces`` are globs over unit
    names. A global unit runs on every machine that fits. ``port`` is where it listens, for who
    refers to it. ``secrets`` are those that it is given as credentials. ``when_moved`` says what
    happens to it when what it refers to is elsewhere.
    """

    machine_id: str | None = None
    machine_of: tuple[str, ...] = ()
    metadata: Mapping[str, frozenset[str]] = field(default_factory=dict)
    conflicts: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    is_global: bool = False
    port: int | None = None
    secrets: tuple[str, ...] = ()
    when_moved: WhenMoved = "nothing"

    @classmethod
    def of(cls, name: UnitName, file: UnitFile) -> Self:
        """Read the requirements in *file*, with the specifiers that *name* fills in.

        Raises UnitFileError: an option that is unknown, malformed or at odds with another one.
        """
        given = _given(name, file)
        found = cls(
            machine_id=_machine_id(given),
            machine_of=tuple(_values(given, "MachineOf", _check_unit)),
            metadata=_metadata(given),
            conflicts=tuple(_values(given, "Conflicts", _check_glob)),
            replaces=tuple(_values(given, "Replaces", _check_glob)),
            is_global=_is_global(given),
            port=_port(given),
            secrets=_secrets(given, name),
            when_moved=_when_moved(given),
        )
        _cross_check(found, given, name)
        return found

    @classmethod
    def of_known(cls, name: str, text: str) -> Self:
        """Read those of a unit that the registry has.

        What other hands put there and cannot be read asks for nothing; the scheduler says so.
        """
        try:
            return cls.of(UnitName.parse(name), UnitFile.parse(text, name))
        except C101Error:
            return cls()

    def conflict_with(self, unit: str) -> str | None:
        """Return the glob of Conflicts= that *unit* matches, if any."""
        return next((glob for glob in self.conflicts if matches(glob, unit)), None)

    def replaces_unit(self, unit: str) -> bool:
        """Say whether *unit* matches Replaces=."""
        return any(matches(glob, unit) for glob in self.replaces)

    def names_machine(self, machine_id: str) -> bool:
        """Say whether MachineID= allows *machine_id*: whole, or by its first eight characters."""
        return self.machine_id in {None, machine_id, machine_id[:8]}


@dataclass(frozen=True, slots=True)
class _Given:
    """One value of one option, specifiers expanded, for messages with where it stands."""

    file: str
    option: Option
    value: str

    def refuse(self, reason: str, *, hint: str | None = None) -> UnitFileError:
        return UnitFileError(
            self.file, self.option.line, f"{self.option.name}: {reason}", hint=hint
        )


def _given(name: UnitName, file: UnitFile) -> list[_Given]:
    found: list[_Given] = []
    for option in file.options:
        if option.section not in SECTIONS:
            continue
        key = _check_known(option, file.name or name.full)
        if not option.value:
            # As everywhere in a unit file, an empty assignment forgets those before it.
            found = [one for one in found if canonical(one.option.name) != key]
            continue
        one = _Given(file.name or name.full, option, option.value)
        try:
            found += [replace(one, value=expand(v, name)) for v in split_values(option.value)]
        except SpecifierError as exc:
            raise one.refuse(str(exc), hint=exc.hint) from exc
        except ValueError as exc:
            raise one.refuse(str(exc)) from exc
    return found


def canonical(option: str) -> str:
    """Return what *option* is called here, older names included."""
    return LEGACY.get(option, option)


_READERS = frozenset(
    {
        "MachineID", "MachineOf", "MachineMetadata", "Conflicts", "Global", "Replaces", "Port",
        "Secret", "WhenMoved",
    }
)  # fmt: skip


def _check_known(option: Option, file: str) -> str:
    key = canonical(option.name)
    if key not in _READERS:
        close = get_close_matches(option.name, sorted(_READERS), n=1)
        known = "known are " + ", ".join(sorted(_READERS))
        raise UnitFileError(
            file,
            option.line,
            f"unknown option {option.name} in [{option.section}]",
            hint=f"is {close[0]} meant?" if close else known,
        )
    return key


def split_values(value: str) -> list[str]:
    """Return the values in *value*: several only where it begins and ends with a double quote.

    ``"a=1" "b=2"`` is two values, ``a=1 b=2`` is one (fleet: unit.parseMultivalueLine).
    Raises ValueError: a quote is not closed, or a value is empty.
    """
    if not (value.startswith('"') and value.endswith('"')):
        if '"' in value:
            raise ValueError(f"a value is quoted as a whole or not at all: {value[:80]!r}")
        return [value]
    if value.count('"') % 2 or len(value) == 1:
        raise ValueError(f"a quote is not closed: {value[:80]!r}")
    values = [
        match[1] if match[1] is not None else match[0] for match in _QUOTED_OR_SPACE.finditer(value)
    ]
    if not all(values):
        raise ValueError("an empty value")
    return values


def _named(given: Iterable[_Given], key: str) -> list[_Given]:
    return [one for one in given if canonical(one.option.name) == key]


def _values(given: Iterable[_Given], key: str, check: Callable[[str], None]) -> list[str]:
    """Return the words of every value of *key*, each once, in order."""
    words: dict[str, None] = {}
    for one in _named(given, key):
        for word in one.value.split():
            try:
                check(word)
            except C101Error as exc:
                raise one.refuse(str(exc)) from exc
            words[word] = None
    return list(words)


def _check_unit(word: str) -> None:
    if UnitName.parse(word).is_template:
        raise InvalidNameError(f"{word} is a template, which runs nowhere")


def _check_glob(word: str) -> None:
    compile_glob(word)


def _machine_id(given: Iterable[_Given]) -> str | None:
    found = _named(given, "MachineID")
    for one in found:
        if not _MACHINE_ID.fullmatch(one.value):
            raise one.refuse(f"not a machine id: {one.value[:80]!r}")
    found.sort(key=lambda one: _MACHINE_ID_ORDER.index(one.option.name))
    return found[0].value if found else None


def _metadata(given: Iterable[_Given]) -> Mapping[str, frozenset[str]]:
    wanted: dict[str, frozenset[str]] = {}
    for one in _named(given, "MachineMetadata"):
        key, equals, value = one.value.partition("=")
        if not equals or not value or "=" in value or not _METADATA_KEY.fullmatch(key):
            hint = 'one key=value; several on a line are quoted each: "disk=ssd" "zone=b"'
            raise one.refuse(f"not of the form key=value: {one.value[:80]!r}", hint=hint)
        if value != value.strip():
            raise one.refuse(f"white space around the value {value!r}")
        wanted[key] = wanted.get(key, frozenset()) | {value}
    return MappingProxyType(wanted)


def _is_global(given: Iterable[_Given]) -> bool:
    answer = False
    for one in _named(given, "Global"):
        word = one.value.lower()
        if word not in _TRUE | _FALSE:
            raise one.refuse(f"neither true nor false: {one.value[:80]!r}")
        answer = word in _TRUE
    return answer


def _port(given: Iterable[_Given]) -> int | None:
    port = None
    for one in _named(given, "Port"):
        if not (one.value.isascii() and one.value.isdigit() and 0 < int(one.value) < 65_536):
            raise one.refuse(f"not a port: {one.value[:80]!r}")
        port = int(one.value)
    return port


def _secrets(given: Iterable[_Given], name: UnitName) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for one in _named(given, "Secret"):
        if name.suffix != "service":
            raise one.refuse("only a service is given secrets")
        for word in one.value.split():
            if not CREDENTIAL.fullmatch(word):
                raise one.refuse(f"not a secret's name: {word[:80]!r}", hint=CREDENTIAL_HINT)
            found[word] = None
    return tuple(found)


def _when_moved(given: Iterable[_Given]) -> WhenMoved:
    word: WhenMoved = "nothing"
    for one in _named(given, "WhenMoved"):
        match one.value:
            case "restart" | "reload" | "nothing" as known:
                word = known
            case _:
                raise one.refuse(f"neither restart, reload nor nothing: {one.value[:80]!r}")
    return word


def _cross_check(found: Requirements, given: Sequence[_Given], name: UnitName) -> None:
    """Refuse options that cannot hold together (fleet: api.ValidateOptions)."""
    raise_at = partial(_at_odds, given)
    if name.full in found.machine_of:
        raise_at("MachineOf", "unresolvable: a unit cannot be its own peer")
    for peer in found.machine_of:
        for option, globs in (("Conflicts", found.conflicts), ("Replaces", found.replaces)):
            glob = next((glob for glob in globs if matches(glob, peer)), None)
            if glob is not None:
                raise_at(option, f"unresolvable: peer {peer!r} matches {option} {glob!r}")
    together = {
        "MachineID": found.machine_id is not None,
        "MachineOf": bool(found.machine_of),
        "Global": found.is_global,
        "Conflicts": bool(found.conflicts),
        "Replaces": bool(found.replaces),
    }
    for one, other in EXCLUSIVE:
        if together[one] and together[other]:
            raise_at(other, f"{one} and {other} cannot be used together")


#: Pairs of options that no unit may have both of. fleet forbade MachineID with Conflicts too, which
#: served nobody (fleet#934).
EXCLUSIVE = (
    ("MachineID", "MachineOf"),
    ("MachineID", "Global"),
    ("MachineID", "Replaces"),
    ("MachineOf", "Global"),
    ("Global", "Replaces"),
    ("Conflicts", "Replaces"),
)


def _at_odds(given: Iterable[_Given], key: str, reason: str) -> None:
    one = _named(given, key)[0]
    raise UnitFileError(one.file, one.option.line, reason)
