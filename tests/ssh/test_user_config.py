"""Directives of ~/.ssh/config that are named because they are not honoured."""

from pathlib import Path

import pytest

from c101.agents.ssh.user_config import in_user_config, unhonoured

CONFIG = """\
ServerAliveInterval 5
Host m1 m2
  User root
  StrictHostKeyChecking no
Host *.lan !secret.lan
  ControlMaster=auto
Match user root
  localforward 1 2
# ControlPath none
"""


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("m1", [(4, "StrictHostKeyChecking"), (8, "LocalForward")]),
        ("a.lan", [(6, "ControlMaster"), (8, "LocalForward")]),
        ("secret.lan", [(8, "LocalForward")]),
        ("else", [(8, "LocalForward")]),
    ],
)
def test_those_that_may_hold_for_a_host_are_named(host: str, found: list[object]) -> None:
    assert list(unhonoured(CONFIG, host)) == found


def test_what_stands_before_any_host_holds_for_all() -> None:
    assert list(unhonoured("controlpath x\nHost a\n", "b")) == [(1, "ControlPath")]
    assert list(unhonoured("", "b")) == []


def test_the_users_file_is_named(home: Path) -> None:
    assert in_user_config("m1") == []
    (home / ".ssh").mkdir()
    (home / ".ssh" / "config").write_text(CONFIG)
    first, _ = in_user_config("m1")
    assert first == f"{home}/.ssh/config:4: StrictHostKeyChecking is not honoured"
