"""``secret``: kept, listed without their values, forgotten, and refused where they are none."""

from pathlib import Path

import pytest

from tests.ctl.site import Site

UNIT = "[Service]\nExecStart=/bin/true\n[X-C101]\nSecret=token other\n"


def test_a_secret_is_kept_listed_and_forgotten(site: Site, tmp_path: Path) -> None:
    site.ok("secret", "set", "token", stdin="s3cret\n")
    assert site.ok("get", "--raw", "c101-secrets/c101/token") == "s3cret\n\n"
    file = tmp_path / "value"
    file.write_bytes(b"\0\xff")
    site.ok("secret", "set", "key.pem", "--file", str(file))
    site.ok("submit", site.write("named.service", UNIT))
    assert site.json("secret", "list") == [
        {"name": "key.pem", "kept": True, "units": []},
        {"name": "other", "kept": False, "units": ["named.service"]},
        {"name": "token", "kept": True, "units": ["named.service"]},
    ]
    listed = site.ok("secret", "list")
    assert "s3cret" not in listed
    assert "s3cret" not in site.ok("-o", "json", "ls", "-r", "/")
    site.ok("secret", "rm", "token", "key.pem")
    assert [row["kept"] for row in site.json("secret", "list")] == [False, False]
    site.ok("destroy", "named.service")
    assert site.json("secret", "list") == []


@pytest.mark.parametrize("name", ["", ".x", "-x", "a/b", "a b", "x" * 65, "é"])
def test_what_is_no_name_is_refused(site: Site, name: str) -> None:
    assert "not a secret's name" in site.fails(2, "secret", "set", "--", name)


def test_nothing_and_too_much_are_refused(site: Site, tmp_path: Path) -> None:
    assert "at least one byte" in site.fails(2, "secret", "set", "token")
    big = tmp_path / "big"
    big.write_bytes(b"x" * ((1 << 20) + 1))
    assert "at most" in site.fails(2, "secret", "set", "token", "--file", str(big))
    assert "No such file" in site.fails(2, "secret", "set", "token", "--file", "/nowhere")
    site.fails(3, "secret", "rm", "token")


def test_a_unit_that_names_none_is_refused(site: Site) -> None:
    for text, said in (
        ("[Service]\nExecStart=/bin/true\n[X-C101]\nSecret=a/b\n", "not a secret's name"),
        ("[Timer]\nOnCalendar=daily\n[X-C101]\nSecret=a\n", "only a service"),
    ):
        kind = "timer" if "Timer" in text else "service"
        assert said in site.fails(1, "submit", site.write(f"bad.{kind}", text))
