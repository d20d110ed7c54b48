"""References to other units: what is one, what stands for it, and nothing else is touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c101.core.units import references
from c101.core.units.file import UnitFile, UnitFileError
from c101.core.units.name import UnitName
from c101.core.units.references import NotThereError, Reference
from c101.core.units.requirements import Requirements

APP = UnitName.parse("app@3.service")
VALUES = {"db1.service.address": "10.0.0.2", "db1.service.port": "41001", "c@3.socket.port": "7"}


def lookup(reference: Reference) -> str:
    try:
        return VALUES[str(reference)]
    except KeyError:
        raise NotThereError(f"{reference.unit} is nowhere") from None


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("E=${c101:db1.address}:${c101:db1.service.port}", "E=10.0.0.2:41001"),
        ("E=${c101:c@%i.socket.port}x", "E=7x"),
        (
            "E=${HOME} $c101:db1.port %i ${C101_ADDRESS}",
            "E=${HOME} $c101:db1.port %i ${C101_ADDRESS}",
        ),
        ("", ""),
    ],
)
def test_what_is_a_reference_is_filled_in_and_nothing_else(text: str, filled: str) -> None:
    references.check(text, APP, source="app")
    assert references.fill(text, APP, lookup) == filled


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("${c101:db1.adress}", "neither an address nor a port"),
        ("${c101:db1}", "neither an address nor a port"),
        ("${c101:.port}", "neither an address nor a port"),
        ("${c101:}", "neither an address nor a port"),
        ("${c101:db1.port", "not closed"),
        ("${c101:db@.port}", "a template"),
        ("${c101:app@3.port}", "the unit itself"),
        ("${c101:-x.port}", "begins with"),
        ("${c101:a b.port}", "the character"),
        ("${c101:%H.port}", "%H"),
    ],
)
def test_what_is_none_is_refused_with_its_line(reference: str, said: str) -> None:
    text = f"[Service]\nExecStart=/bin/true\nEnvironment=A={reference}\n"
    with pytest.raises(UnitFileError, match=said) as caught:
        references.check(text, APP, source="app@.service")
    assert "app@.service:3" in str(caught.value)


@pytest.mark.parametrize("value", ["", "1.2.3.4 x", "a\nExecStart=/bin/evil", "$(x)", "%n", "a'b"])
def test_what_could_mean_more_than_an_address_is_not_put_in(value: str) -> None:
    with pytest.raises(NotThereError, match="odd address"):
        references.fill("E=${c101:db1.address}", APP, lambda _: value)


@given(st.text())
def test_any_text_without_references_stays_as_it_is(text: str) -> None:
    if references.MARK in text:
        return
    references.check(text, APP, source="app")
    assert references.fill(text, APP, lookup) == text


def options(*lines: str) -> Requirements:
    text = "\n".join(["[X-C101]", *lines])
    return Requirements.of(APP, UnitFile.parse(text, "app"))


def test_a_port_and_what_a_move_means_are_read() -> None:
    assert (options().port, options().when_moved) == (None, "nothing")
    assert options("Port=4200%i").port == 42003
    for word in ("restart", "reload", "nothing"):
        assert options(f"WhenMoved={word}").when_moved == word


@pytest.mark.parametrize("line", ["Port=0", "Port=65536", "Port=http", "Port=٣", "WhenMoved=stop"])
def test_what_is_no_port_or_no_answer_is_refused(line: str) -> None:
    with pytest.raises(UnitFileError, match=line.partition("=")[0]):
        options(line)
