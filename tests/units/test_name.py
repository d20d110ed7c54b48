"""Unit names: fleet's own examples, and the traps that systemd leaves open."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c101.core.errors import InvalidNameError
from c101.core.units.name import UnitName

BAD = {
    "it is empty": "",
    "it is longer than fleet allows": "a" * 249 + ".service",
    "it is one byte longer than systemd allows": "a" * 248 + ".service",
    "it has no suffix": "fooservice",
    "it ends in a dot": "foo.",
    "its suffix is no kind of unit": "foo.bar",
    "its suffix is in capitals": "foo.servICE",
    "it has a percent sign": "foo%.service",
    "it has a slash": "yes/no.service",
    "it has an equals sign": "dog=woof@.mount",
    "it begins with the at sign": "@foo.service",
    "a mount cannot be an instance": "foo@1.mount",
    "it begins with a dash, like an option": "-x.service",
    "it begins with a dot, like a hidden file": ".x.service",
    "it climbs out of the directory": "../../etc/passwd.service",
    "it has a space": "a b.service",
    "it has a newline": "a\nb.service",
    "it ends in a newline": "a.service\n",
    "it is not ASCII": "schön.service",
    "it has a NUL": "a\0.service",
    "it is only a suffix": ".service",
    "it turns the text around": "a\u202eb.service",
    "it has a lone surrogate": "a\udc80.service",
}
GOOD = [
    "yo.yo.service",
    "hello:world.service",
    "yes@no\\.service",
    "foo@1.timer",
    "a@b@c.service",
    "a" * 247 + ".service",
    "web@.service",
    "x.mount",
]


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_bad_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidNameError, match="invalid unit name"):
        UnitName.parse(text)


@pytest.mark.parametrize("text", GOOD)
def test_a_good_name_is_kept_as_it_is(text: str) -> None:
    name = UnitName.parse(text)
    assert str(name) == name.full == text
    assert f"{name.stem}.{name.suffix}" == text


@pytest.mark.parametrize(
    ("text", "prefix", "instance", "template"),
    [
        ("web.service", "web", None, None),
        ("web@.service", "web", "", None),
        ("web@1.service", "web", "1", "web@.service"),
        ("a@b@c.timer", "a", "b@c", "a@.timer"),
        ("a.b@c.d.service", "a.b", "c.d", "a.b@.service"),
    ],
)
def test_a_name_falls_into_its_parts(
    text: str, prefix: str, instance: str | None, template: str | None
) -> None:
    name = UnitName.parse(text)
    assert (name.prefix, name.instance, name.template) == (prefix, instance, template)
    assert name.is_template == (instance == "")
    assert name.is_instance == bool(instance)


@pytest.mark.parametrize(
    ("given_text", "completed"),
    [
        ("web", "web.service"),
        ("web@1", "web@1.service"),
        ("web.v2", "web.v2.service"),
        ("web.timer", "web.timer"),
        ("foo.servICE", "foo.servICE.service"),
        ("service", "service.service"),
    ],
)
def test_a_name_without_a_known_suffix_is_a_service(given_text: str, completed: str) -> None:
    assert UnitName.complete(given_text) == completed


def test_the_reason_names_the_character() -> None:
    with pytest.raises(InvalidNameError, match="it has the character '/'"):
        UnitName.parse("a/b.service")


@given(st.text(max_size=300))
def test_any_text_is_a_name_in_parts_or_refused(text: str) -> None:
    try:
        name = UnitName.parse(text)
    except InvalidNameError:
        return
    at = "" if name.instance is None else f"@{name.instance}"
    assert f"{name.prefix}{at}.{name.suffix}" == text
