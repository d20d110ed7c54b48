"""[X-Fleet] and [X-C101]: fleet's semantics, with what is malformed refused."""

from collections.abc import Mapping

import pytest

from c101.core.units.file import UnitFile, UnitFileError
from c101.core.units.name import UnitName
from c101.core.units.requirements import Requirements


def read(body: str, name: str = "web@1.service", section: str = "X-Fleet") -> Requirements:
    return Requirements.of(UnitName.parse(name), UnitFile.parse(f"[{section}]\n{body}\n", name))


def test_a_file_without_the_section_asks_nothing() -> None:
    file = UnitFile.parse("[Service]\nExecStart=/bin/true\nConflicts=*\n")
    assert Requirements.of(UnitName.parse("a.service"), file) == Requirements()


METADATA: dict[str, tuple[str, Mapping[str, set[str]]]] = {
    "one pair": ("MachineMetadata=disk=ssd", {"disk": {"ssd"}}),
    "the same key on two lines is either": (
        "MachineMetadata=zone=a\nMachineMetadata=zone=b",
        {"zone": {"a", "b"}},
    ),
    "different keys are both": (
        "MachineMetadata=zone=a\nMachineMetadata=disk=ssd",
        {"zone": {"a"}, "disk": {"ssd"}},
    ),
    "several on a line are quoted each": (
        'MachineMetadata="zone=a" "disk=ssd" "zone=b"',
        {"zone": {"a", "b"}, "disk": {"ssd"}},
    ),
    "one in quotes may have a space in its value": (
        'MachineMetadata="room=second floor"',
        {"room": {"second floor"}},
    ),
    "specifiers are filled in": (
        "MachineMetadata=hostname=%i\nMachineMetadata=app=%p",
        {"hostname": {"1"}, "app": {"web"}},
    ),
    "an empty assignment forgets those before it": (
        "MachineMetadata=zone=a\nMachineMetadata=\nMachineMetadata=disk=ssd",
        {"disk": {"ssd"}},
    ),
    "the older name is read": ("X-ConditionMachineMetadata=a=b", {"a": {"b"}}),
}


@pytest.mark.parametrize(("body", "expected"), METADATA.values(), ids=METADATA.keys())
def test_metadata_is_grouped_by_key(body: str, expected: Mapping[str, set[str]]) -> None:
    assert read(body).metadata == expected


def test_both_sections_are_read_and_add_up() -> None:
    file = UnitFile.parse("[X-Fleet]\nConflicts=a.service\n[X-C101]\nConflicts=b.service\n")
    found = Requirements.of(UnitName.parse("c.service"), file)
    assert found.conflicts == ("a.service", "b.service")


def test_conflicts_are_globs_separated_by_white_space() -> None:
    found = read("Conflicts=%p@*.service db?.service\nX-Conflicts=cache.service")
    assert found.conflicts == ("web@*.service", "db?.service", "cache.service")
    assert found.conflict_with("db1.service") == "db?.service"
    assert found.conflict_with("db10.service") is None


def test_the_first_machine_id_counts_and_the_current_name_before_older_ones() -> None:
    old = "X-ConditionMachineBootID=boot0001\nX-ConditionMachineID=older\n"
    assert read(old).machine_id == "older"
    assert read(old + "MachineID=first\nMachineID=second").machine_id == "first"


def test_a_machine_id_matches_whole_or_by_its_first_eight_characters() -> None:
    whole = "0123456789abcdef0123456789abcdef"
    assert read(f"MachineID={whole}").names_machine(whole)
    assert read("MachineID=01234567").names_machine(whole)
    assert not read("MachineID=0123456").names_machine(whole)
    assert not read("MachineID=012345678").names_machine(whole)
    assert read("").names_machine(whole)


@pytest.mark.parametrize("word", ["true", "Yes", "1", "on", "T"])
def test_global_is_true(word: str) -> None:
    assert read(f"Global={word}").is_global


def test_the_last_global_counts() -> None:
    assert not read("Global=true\nGlobal=no").is_global


def test_peers_are_whole_names() -> None:
    assert read("MachineOf=db.service\nMachineOf=cache@%i.service").machine_of == (
        "db.service",
        "cache@1.service",
    )


@pytest.mark.parametrize(
    "body",
    [
        "MachineID=abc\nConflicts=x*.service",
        "Global=true\nConflicts=x*.service",
        "Global=true\nMachineMetadata=a=b",
        "MachineOf=a.service\nReplaces=b.service",
        "MachineOf=a.service\nConflicts=b.service",
        "Global=false\nMachineOf=a.service",
    ],
)
def test_what_can_hold_together_is_accepted(body: str) -> None:
    read(body)


REFUSED = {
    "an unknown option": ("Weight=3", 2, "unknown option Weight in"),
    "a misspelt option": ("MachineMetaData=a=b", 2, "unknown option MachineMetaData"),
    "an unknown option even when empty": ("Weight=", 2, "unknown option Weight"),
    "metadata without a value": ("\nMachineMetadata=foo", 3, "not of the form key=value"),
    "metadata with two equals signs": ("MachineMetadata=a=b=c", 2, "not of the form key=value"),
    "metadata with an empty value": ("MachineMetadata=a=", 2, "not of the form key=value"),
    "metadata with an empty key": ("MachineMetadata==a", 2, "not of the form key=value"),
    "two pairs without quotes": ("MachineMetadata=a=b c=d", 2, "not of the form key=value"),
    "spaces around the equals sign": ("MachineMetadata=a = b", 2, "not of the form key=value"),
    "a space before the value": ("MachineMetadata=a= b", 2, "white space around the value"),
    "a quote that is not closed": ('MachineMetadata="a=b" "c=d', 2, "quoted as a whole"),
    "a lone quote": ('MachineMetadata="', 2, "a quote is not closed"),
    "an empty value in quotes": ('MachineMetadata=""', 2, "an empty value"),
    "a machine id with a space": ("MachineID=a b", 2, "not a machine id"),
    "a peer that is no unit name": ("MachineOf=db", 2, "it has no suffix"),
    "a peer that is a glob": ("MachineOf=db*.service", 2, r"the character '\*'"),
    "a peer that is a template": ("MachineOf=db@.service", 2, "is a template"),
    "a glob that is not closed": ("Conflicts=a[b.service", 2, "ends too early"),
    "a truth value that is none": ("Global=maybe", 2, "neither true nor false"),
    "an unknown specifier": ("Conflicts=%x.service", 2, "%x: unknown specifier"),
    "a specifier of the machine": ("MachineMetadata=h=%H", 2, "%H: differs between machines"),
    "a peer that is in conflict": (
        "MachineOf=db1.service\nConflicts=db*.service",
        3,
        r"peer 'db1\.service' matches Conflicts 'db\*\.service'",
    ),
    "a peer that is replaced": ("MachineOf=a.service\nReplaces=a*", 3, "matches Replaces 'a"),
    "a unit that is its own peer": ("MachineOf=%n", 2, "cannot be its own peer"),
    "MachineID with MachineOf": ("MachineID=a\nMachineOf=b.service", 3, "MachineID and MachineOf"),
    "MachineID with Global": ("MachineID=a\nGlobal=yes", 3, "MachineID and Global"),
    "MachineID with Replaces": ("MachineID=a\nReplaces=b", 3, "MachineID and Replaces"),
    "MachineOf with Global": ("MachineOf=b.service\nGlobal=1", 3, "MachineOf and Global"),
    "Global with Replaces": ("Global=on\nReplaces=b", 3, "Global and Replaces"),
    "Conflicts with Replaces": ("Conflicts=a\nReplaces=b", 3, "Conflicts and Replaces"),
}


@pytest.mark.parametrize(("body", "line", "reason"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("section", ["X-Fleet", "X-C101"])
def test_what_is_wrong_is_refused_with_its_line(
    body: str, line: int, reason: str, section: str
) -> None:
    with pytest.raises(UnitFileError, match=reason) as caught:
        read(body, section=section)
    assert caught.value.line == line
    assert caught.value.file == "web@1.service"


def test_a_misspelt_option_is_hinted_at() -> None:
    with pytest.raises(UnitFileError) as caught:
        read("MachineMetaData=a=b")
    assert caught.value.hint == "is MachineMetadata meant?"
