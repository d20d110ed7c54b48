"""The keeper's pure parts: records, environment files, variables, exits, limits."""

import pytest

from c101.agents.runtime.process.keeper import expansion, policy, record
from c101.agents.runtime.process.keeper.output import split_level
from c101.agents.runtime.process.keeper.spec import Spec, SpecError
from c101.agents.runtime.process.keeper.status import Status


@pytest.mark.parametrize("text", ["", "plain", "a\tb\nc", "%09 %25%0A", "50%", "ü€😀", "a=b"])
def test_a_record_gives_back_what_was_put_into_it(text: str) -> None:
    line = record.encode({"a": text, "b": "x"})
    assert "\n" not in line
    assert record.decode(line) == {"a": text, "b": "x"}


def test_a_state_survives_its_file_and_damage_gives_defaults() -> None:
    status = Status()
    status.state, status.main_pid, status.since, status.unloading = "running", 5, 1.5, True
    status.status_text = "one\ttwo\n50%"
    assert vars(Status.decode(status.encode())) == vars(status)
    damaged = Status.decode("main_pid=x\tstate=nonsense\tgarbage\tactive=1")
    assert (damaged.main_pid, damaged.state) == (0, "dead")


@pytest.mark.parametrize("raw", [b"", b"\0" * 100, b"garbage", b"\xe9\0\0\0\0", b"N"])
def test_a_damaged_spec_is_refused(raw: bytes) -> None:
    with pytest.raises(SpecError):
        Spec.parse(raw)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("A=1\nB=2", [("A", "1"), ("B", "2")]),
        ("A=1\nno assignment\n=x\n1A=2\nB=2\n", [("A", "1"), ("B", "2")]),
        ("# A=1\n; B=2\n  # C=3\nD=4", [("D", "4")]),
        ("# goes on \\\nA=1\nB=2", [("B", "2")]),
        ("A =  spaces  inside  \n", [("A", "spaces  inside")]),
        ('A=\'single \\n $x\'\nB="a\\"b\\$c\\nd"', [("A", "single \\n $x"), ("B", 'a"b$c\\nd')]),
        ("A='two\nlines'\nB=1", [("A", "two\nlines"), ("B", "1")]),
        ("A=one \\\ntwo\nB=a\\ \\\\b", [("A", "one two"), ("B", "a \\b")]),
        ("A=\nB=''\n", [("A", ""), ("B", "")]),
        ("A=x'y'z\nB='q' r", [("A", "x'y'z"), ("B", "q r")]),
        ("A=1\r\nB=2\r\n", [("A", "1"), ("B", "2")]),
        ("A='never closed", [("A", "never closed")]),
    ],
)
def test_environment_files_are_read_as_systemd_reads_them(
    text: str, pairs: list[tuple[str, str]]
) -> None:
    assert expansion.parse_environment_file(text) == pairs


@pytest.mark.parametrize(
    ("word", "expanded"),
    [
        ("$A", ["x", "y"]),
        ("${A}", ["x y"]),
        ("a${A}b${E}c", ["ax ybc"]),
        ("$E", []),
        ("${E}", [""]),
        ("$NONE", []),
        ("$$A", ["$A"]),
        ("a$A", ["a$A"]),
        ("$", ["$"]),
        ("${", ["${"]),
        ("${A", ["${A"]),
        ("$Q", ["a b", "c"]),
        ("$A-", ["$A-"]),
        ("${A-b}", ["${A-b}"]),
    ],
)
def test_variables_in_words_are_replaced(word: str, expanded: list[str]) -> None:
    environment = {"A": "x y", "E": "", "Q": "'a b' c"}
    assert expansion.expand_words([word], environment) == expanded


@pytest.mark.parametrize(
    ("line", "level", "message"),
    [
        (b"<3>x", 3, b"x"),
        (b"<0>", 0, b""),
        (b"<191>x", 7, b"x"),
        (b"<>x", 6, b"<>x"),
        (b"<33", 6, b"<33"),
        (b"<1234>x", 6, b"<1234>x"),
        (b"<-1>x", 6, b"<-1>x"),
        (b"<a>x", 6, b"<a>x"),
    ],
)
def test_levels_are_split_off(line: bytes, level: int, message: bytes) -> None:
    assert split_level(line, 6) == (level, message)


@pytest.mark.parametrize(
    ("wait_status", "daemon", "result", "words"),
    [
        (0, True, "success", "code=exited, status=0/SUCCESS"),
        (1 << 8, True, "exit-code", "code=exited, status=1/FAILURE"),
        (3 << 8, True, "success", "code=exited, status=3/NOTIMPLEMENTED"),
        (15, True, "success", "code=killed, status=15/TERM"),
        (15, False, "signal", "code=killed, status=15/TERM"),
        (9, True, "signal", "code=killed, status=9/KILL"),
        (10, False, "success", "code=killed, status=10/USR1"),
        (6 | 128, True, "core-dump", "code=dumped, status=6/ABRT"),
    ],
)
def test_an_exit_means_what_the_unit_says_it_means(
    wait_status: int, daemon: bool, result: str, words: str
) -> None:
    spec = Spec()
    spec.success = ([3], [10])
    ended = policy.Exit(wait_status)
    assert ended.result(spec, daemon=daemon) == result
    assert ended.describe() == words


def test_starts_are_limited_within_an_interval_that_begins_with_the_first() -> None:
    spec, status = Spec(), Status()
    admitted = [policy.admit_start(spec, status, 100 + second) for second in range(7)]
    assert admitted == [True] * 5 + [False] * 2
    assert not policy.admit_start(spec, status, 110)
    assert policy.admit_start(spec, status, 110.1)
    assert policy.admit_start(spec, status, 5), "the clock began anew: there was a reboot"
