"""What is refused, with which exit status, and what is said."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ctl.site import Site
from tests.processes import free_port

pytestmark = pytest.mark.integration

UNKNOWN_UNIT = "ghost.service: no such unit"

NOT_THERE_OR_NO_NAME = {
    ("get", "ghost"): (3, "/ghost: no such key"),
    ("cat", "ghost"): (3, "ghost.service"),
    ("why", "ghost"): (3, "ghost.service"),
    ("status", "ghost"): (3, UNKNOWN_UNIT),
    ("journal", "ghost"): (3, UNKNOWN_UNIT),
    ("start", "ghost"): (3, UNKNOWN_UNIT),
    ("stop", "ghost"): (3, UNKNOWN_UNIT),
    ("restart", "ghost"): (3, UNKNOWN_UNIT),
    ("unload", "ghost"): (3, UNKNOWN_UNIT),
    ("destroy", "ghost"): (3, UNKNOWN_UNIT),
    ("start", "ghost@1"): (3, "no template ghost@.service"),
    ("journal", "-m", "m9"): (3, "no machine is called m9"),
    ("start", "we/b.service/"): (2, "b.service: No such file"),
    ("start", "spa ce"): (2, "it has the character ' '"),
    ("start", "../../etc/passwd"): (2, "invalid unit name 'passwd'"),
    ("start", "-m"): (2, "No such option"),
    ("submit", "./x.nokind"): (2, "'nokind' is no kind of unit"),
    ("get", ""): (2, "a key is not empty"),
    ("journal", "-p", "loud"): (2, "not a priority: loud"),
}


def test_what_is_not_there_or_not_a_name_is_said(site: Site) -> None:
    assert site.fails(3, "get", "ghost")
    done = site.each(*NOT_THERE_OR_NO_NAME)
    for (arguments, (status, said)), (code, out, error) in zip(
        NOT_THERE_OR_NO_NAME.items(), done, strict=True
    ):
        assert (code, out) == (status, ""), arguments
        assert said in error, arguments


MALFORMED = [
    (),
    ("no-such-verb",),
    ("get",),
    ("get", "a", "b"),
    ("get", "--revision", "x", "a"),
    ("get", "--revision", "-1", "a"),
    ("start", "--timeout", "-1", "a"),
    ("start",),
    ("set", "--ttl", "0", "a", "b"),
    ("-o", "xml", "get", "a"),
    ("--prefix", "c101", "get", "a"),
    ("--request-timeout", "0", "get", "a"),
    ("--bogus", "get", "a"),
]


def test_an_option_or_argument_that_is_malformed_is_a_matter_of_usage(alone: Site) -> None:
    assert "Usage: c101ctl" in alone.fails(2, kv="")
    for arguments, (code, out, error) in zip(MALFORMED, alone.each(*MALFORMED), strict=True):
        assert (code, out) == (2, ""), arguments
        assert "Usage: c101ctl" in error, arguments


def test_an_endpoint_that_is_none_is_a_matter_of_usage(alone: Site) -> None:
    endpoints = ("nonsense", "ftp://a", "http://a:port", "ssh://host/kv-x", ",")
    for status, _, said in alone.each(*(("--kv", one, "get", "a") for one in endpoints)):
        assert status == 2
        assert "endpoint" in said


def test_a_unit_file_with_an_error_is_refused_by_file_line_and_reason(site: Site) -> None:
    path = site.write("wrong.service", "[Service]\nExecStart=/bin/true\nnonsense\n")
    assert "wrong.service:3: " in site.fails(1, "submit", path)
    assert "wrong.service:3: " in site.fails(1, "start", path)
    path = site.write("wrong2.service", "[Service]\nExecStart=/bin/true\n[X-Fleet]\nGlobl=1\n")
    said = site.fails(1, "submit", path)
    assert "wrong2.service:4: unknown option Globl in [X-Fleet]" in said
    assert "is Global meant?" in said
    assert {"wrong.service", "wrong2.service"}.isdisjoint(site.ok("list-unit-files").split())


def test_a_file_that_cannot_be_read_is_named(alone: Site, tmp_path: Path) -> None:
    assert "none.service: No such file" in alone.fails(2, "submit", "./none.service")
    assert "none@.service: No such file" in alone.fails(2, "start", "./none@1.service")
    (tmp_path / "dir.service").mkdir()
    (tmp_path / "binary.service").write_bytes(b"\xff\xfe")
    (tmp_path / "huge.service").write_bytes(b"#" * (1 << 21))
    reasons = {"dir": "Is a directory", "binary": "UTF-8", "huge": "larger than"}
    done = alone.each(*(("submit", f"{name}.service") for name in reasons))
    for reason, (status, _, said) in zip(reasons.values(), done, strict=True):
        assert status == 2
        assert reason in said


def test_a_file_here_that_the_cluster_does_not_know_is_pointed_at(site: Site) -> None:
    site.write("here.service")
    assert "c101ctl start ./here.service" in site.fails(3, "start", "here")


def test_a_stopped_unit_is_not_stopped_again(site: Site) -> None:
    site.ok("submit", site.write("idle.service"))
    assert "inactive already" in site.fails(1, "stop", "idle")
    assert "is not on any machine" in site.fails(3, "status", "idle")
    site.ok("destroy", "idle")


def test_an_error_as_json_has_code_message_and_hint(site: Site) -> None:
    cases = {
        ("get", "ghost"): (3, "not_found"),
        ("start", "spa ce"): (2, "invalid_name"),
        ("get", "--bogus"): (2, "usage"),
        ("set", "--swap-with-value", "x", "json-errors", "y"): (1, "conflict"),
    }
    done = site.each(*(("-o", "json", *arguments) for arguments in cases))
    for (status, word), (code, out, text) in zip(cases.values(), done, strict=True):
        assert (code, out) == (status, "")
        error = json.loads(text)["error"]
        assert list(error) == ["code", "message", "hint"]
        assert error["code"] == word
        assert error["message"]


@pytest.fixture
def stale(tmp_path: Path) -> Iterator[Path]:
    """A socket that a server left behind."""
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        yield path


def test_a_kv_that_is_not_there_is_told_at_once(alone: Site, stale: Path) -> None:
    port = free_port()
    endpoints = (alone.kv, f"unix://{stale}", f"http://127.0.0.1:{port}")
    # A command that went on trying would be killed by its test long before.
    patient = ("--request-timeout", "600")
    for endpoint in endpoints:
        assert endpoint in alone.fails(5, *patient, "get", "a", kv=endpoint)
    for arguments in (("list-units",), ("watch", "a"), ("set", "--hold", "--ttl", "5", "a", "b")):
        assert "cannot reach" in alone.fails(5, *patient, *arguments, kv=",".join(endpoints))
    error = json.loads(alone.fails(5, "-o", "json", "get", "a"))["error"]
    assert error["code"] == "unreachable"


def test_a_kv_that_says_nothing_is_given_its_time(alone: Site, tmp_path: Path) -> None:
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        said = alone.fails(5, "--request-timeout", "0.3", "get", "a", kv=f"unix://{path}")
        assert "did not answer within 0.3 s" in said


def test_no_cluster_at_all_says_how_to_get_one(alone: Site, tmp_path: Path) -> None:
    variables = {**alone.environment, "XDG_STATE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    nowhere = Site("", variables, tmp_path)
    assert "c101ctl local up" in nowhere.fails(2, "get", "a")


def test_a_configuration_that_is_wrong_is_named(alone: Site, tmp_path: Path) -> None:
    folder = tmp_path / "c101"
    folder.mkdir()
    (folder / "config.yaml").write_text("clusters: {prod: {kv: 7}}\n")
    variables = {**alone.environment, "XDG_CONFIG_HOME": str(tmp_path)}
    said = Site("", variables, tmp_path).fails(2, "--cluster", "prod", "get", "a")
    assert "config.yaml" in said
    assert "$.clusters" in said


def test_a_reader_that_left_is_no_failure_to_talk_about(site: Site) -> None:
    site.ok("set", "pipe", "1")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = site.ctl("get", "pipe", stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_an_output_that_is_full_is_said(site: Site) -> None:
    site.ok("set", "full", "1")
    with Path("/dev/full").open("w") as full:
        done = site.ctl("get", "full", stdout=full)
    assert done.returncode == 1
    assert done.stderr == "c101ctl: No space left on device\n"


def test_completion_is_printed_for_the_shells_that_are_known(alone: Site) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_C101CTL_COMPLETE" in alone.ok("completion", shell)
    assert "Usage" in alone.fails(2, "completion", "tcsh")
    variables = {**alone.environment, "_C101CTL_COMPLETE": "bash_complete"}
    completed = subprocess.run(
        alone.command()[:3],
        env={**variables, "COMP_WORDS": "c101ctl list-", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert completed.stdout.split() == [
        "plain,list-units", "plain,list-unit-files", "plain,list-machines", "plain,list-containers",
    ]  # fmt: skip
