"""What reaches a terminal."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.ctl.site import Site

pytestmark = pytest.mark.integration

#: Clears the screen, retitles the window, turns text around, and hides a C1 control.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202e\x9b31m\x08"
RAW = ("\x1b", "\x07", "\x08", "\u202e", "\x9b")


def on_a_terminal(site: Site, *arguments: str) -> str:
    """Run ``c101ctl`` on a terminal; return all that the terminal got."""
    master, slave = pty.openpty()
    try:
        process = subprocess.Popen(
            site.command(*arguments),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=site.environment,
            cwd=site.directory,
        )
    finally:
        os.close(slave)
    got = b""
    try:
        while chunk := os.read(master, 65_536):
            got += chunk
    except OSError:
        pass  # how a terminal says that its other side has closed
    finally:
        os.close(master)
        process.wait(30)
    return got.decode()


def assert_harmless(text: str) -> None:
    assert text
    assert not [one for one in RAW if one in text], ascii(text)


def test_hostile_keys_and_values_do_not_act_on_a_terminal(site: Site) -> None:
    site.ok("set", "hostile/" + HOSTILE, HOSTILE)
    key = "hostile/" + HOSTILE
    for arguments in (
        ("get", key),
        ("-o", "json", "get", key),
        ("ls", "hostile"),
        ("-o", "json", "ls", "-r", "hostile"),
        ("get", key + "not-there"),
        ("cat", HOSTILE),
    ):
        assert_harmless(on_a_terminal(site, *arguments))
    # A pipe gets the value as it is.
    assert site.ok("get", key) == HOSTILE + "\n"
    assert site.json("get", key)["value"] == HOSTILE


def test_hostile_machine_names_and_log_lines_do_not_act_on_a_terminal(site: Site) -> None:
    site.ok("submit", site.write("evil.service", _printing(HOSTILE)))
    site.ok("start", "evil")
    for arguments in (("journal", "evil"), ("status", "evil"), ("-o", "json", "journal", "evil")):
        text = on_a_terminal(site, *arguments)
        assert "evil" in text
        assert_harmless(text)
    site.ok("destroy", "evil")
    record = '{"id":"evilmachine","name":"\\u001b[2J\\u009b","addresses":["\\u202e"]}'
    key = "/c101/machines/evilmachine/record"
    site.ok("set", "--force", key, record)
    try:
        for verb in ("list-machines", "-o json list-machines"):
            assert_harmless(on_a_terminal(site, *verb.split()))
    finally:
        site.ok("rm", "--force", key)


def _printing(text: str) -> str:
    escaped = "".join(f"\\\\{byte:03o}" for byte in text.encode())
    return (
        "[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        f"ExecStart=/bin/sh -c \"printf '%%b\\\\n' '{escaped}'\"\n"
    )


def test_columns_stay_aligned_for_wide_characters(site: Site, tmp_path: Path) -> None:
    record = '{"id":"widemachine","name":"\\u6771\\u4eac","addresses":[]}'
    key = "/c101/machines/widemachine/record"
    site.ok("set", "--force", key, record)
    try:
        lines = site.ok("list-machines", "--no-legend").splitlines()
    finally:
        site.ok("rm", "--force", key)
    (wide,) = (line for line in lines if line.startswith("\u6771\u4eac"))
    narrow = next(line for line in lines if line.startswith("m1"))
    # Two characters of two cells each stand where four of one cell would.
    assert narrow.index("ctltestm") - wide.index("widemach") == 2
