"""Specifiers, as systemd.unit(5) documents them."""

import pytest

from c101.core.units.name import UnitName
from c101.core.units.specifiers import HostFacts, SpecifierError, expand

NAME = UnitName.parse(r"my-web@a-b\x2dc.service")
HOST = HostFacts(
    machine_id="m" * 32,
    boot_id="b" * 32,
    hostname="node1.example",
    kernel="6.1.0",
    architecture="x86-64",
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("%n", r"my-web@a-b\x2dc.service"),
        ("%N", r"my-web@a-b\x2dc"),
        ("%p", "my-web"),
        ("%P", "my/web"),
        ("%i", r"a-b\x2dc"),
        ("%I", "a/b-c"),
        ("%j", "web"),
        ("%J", "web"),
        ("%f", "/a/b-c"),
        ("100%%", "100%"),
        ("%%i", "%i"),
        ("%%%p", "%my-web"),
        ("plain", "plain"),
    ],
)
def test_a_name_fills_in_what_comes_from_it(value: str, expected: str) -> None:
    assert expand(value, NAME) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("%m %b", "m" * 32 + " " + "b" * 32),
        ("%H %l", "node1.example node1"),
        ("%v %a", "6.1.0 x86-64"),
        ("%u %U %g %G %h %s", "root 0 root 0 /root /bin/sh"),
        ("%t %S %C %L %E %T %V", "/run /var/lib /var/cache /var/log /etc /tmp /var/tmp"),
    ],
)
def test_a_machine_fills_in_the_rest(value: str, expected: str) -> None:
    assert expand(value, NAME, host=HOST) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [("%x", "%x: unknown specifier"), ("50%", "%: a percent sign at the end"), ("%é", "unknown")],
)
def test_what_means_nothing_is_refused(value: str, reason: str) -> None:
    with pytest.raises(SpecifierError, match=reason) as caught:
        expand(value, NAME, host=HOST)
    assert caught.value.hint == "write %% for a percent sign"


def test_what_needs_a_machine_is_refused_where_there_is_none() -> None:
    with pytest.raises(SpecifierError, match="%H: differs between machines"):
        expand("%H", NAME)


def test_a_name_without_instance_has_an_empty_one() -> None:
    assert expand("[%i]", UnitName.parse("web.service")) == "[]"
