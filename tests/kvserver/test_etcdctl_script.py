"""Every subcommand of Debian's etcdctl prints of ours what it prints of a real etcd.

What is another by its nature is masked: ids, ports, sizes, times, raft's counters.
"""

import contextlib
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.kvserver.auth import test_etcdctl as auth
from tests.kvserver.etcdctl_script import SCRIPT, Row
from tests.kvserver.processes import HAVE_ETCD, HAVE_ETCDCTL, Etcd, Ours, etcdctl

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not (HAVE_ETCD and HAVE_ETCDCTL), reason="no etcd and etcdctl here"),
]

#: Subcommands that the script leaves out, and why.
LEFT_OUT = {
    "check datascale": "a benchmark",
    "check perf": "a benchmark",
    "completion bash": "asks no server",
    "completion fish": "asks no server",
    "completion powershell": "asks no server",
    "completion zsh": "asks no server",
    "help": "asks no server",
    "migrate": "of the v2 store",
    "member add": "a single member cannot grow: tests/kvserver/test_etcdctl.py",
    "member promote": "as above",
    "member remove": "as above",
    "member update": "as above",
}
#: Commands that run until they are ended, in the tests below.
LONG = {"elect", "lock", "make-mirror", "watch", "lease keep-alive", "user passwd"}

_MASKS: Sequence[tuple[str, str]] = [
    # etcdctl's own log, which has the time.
    (r'(?m)^\{"level".*\n', ""),
    (r"(?m)^\d{4}[-/]\d\d[-/]\d\d.*\n", ""),
    # Where etcdctl itself ends, the addresses of its stack.
    (r"(?s)\ngoroutine 1 .*", ""),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    # 64 bits at random, without the zeros in front.
    (r"\b[0-9a-f]{12,16}\b", "ID"),
    (r'("(?:cluster_id|member_id|raft_term|ID|id|lease|Lease)":)-?\d+', r"\1N"),
    (r'("(?:ClusterID|MemberID|RaftTerm|ID|Lease|LeaseID|lease)" : )-?\w+', r"\1N"),
    (r'("(?:leader|raftIndex|raftTerm|raftAppliedIndex|dbSize|dbSizeInUse)":)\d+', r"\1N"),
    (r'("(?:Leader|RaftIndex|RaftAppliedIndex|RaftTerm|DBSize|DBSizeInUse)" : )\d+', r"\1N"),
    (r"\b[0-9.]+(?:ns|µs|ms)\b|(?<=took = )[0-9.]+s", "SECONDS"),
    (r"\b[0-9.]+ (?:B|kB|MB)\b", "SIZE"),
]
#: What describes the member, or the file it is kept in, and not what it holds.
_OF_THE_MEMBER: Sequence[tuple[str, Sequence[tuple[str, str]]]] = [
    ("lease timetolive", [(r"remaining\(\d+s\)", "remaining(LEFT)")]),
    ("lease timetolive", [(r'"ttl":\d+|"TTL" : \d+', "LEFT")]),
    ("endpoint status", [(r"(?:true|false), (?:true|false), \d+, \d+, \d+, ", "RAFT, ")]),
    ("endpoint status", [(r"\| +\d+ \| +\d+ \| +\d+ \| +\|", "| RAFT | |")]),
    ("endpoint hashkv", [(r", \d+\n", ", HASH\n"), (r'("hash":|"Hash" : )\d+', r"\1HASH")]),
    ("endpoint hashkv", [(r"\| +\d+ \|", "| HASH |")]),
    ("member list", [(r"started, \w+, (?:http://ADDRESS)?, ", "started, NAME, PEER, ")]),
    ("member list", [(r'("name":|"Name" : )"\w+"', r"\1NAME")]),
    ("member list", [(r'"peerURLs":\[[^]]*\],', ""), (r'"PeerURL" : .*\n', "")]),
    ("member list", [(r"\| started \| +\w+ +\|[^|]*\|", "| started | NAME | PEER |")]),
    ("snapshot status", [(r"^[0-9a-f]+, (\d+, \d+),", r"HASH, \1,")]),
    ("snapshot status", [(r'("(?:hash|totalSize)":|"(?:Hash|Size)" : )\d+', r"\1N")]),
    ("snapshot status", [(r"\| +[0-9a-f]+ \| +(\d+ \| +\d+) \|", r"| HASH | \1 |")]),
]


@dataclass
class Side:
    """One server, and what the rows before left for those that follow."""

    port: int
    data: Path
    words: dict[str, str] = field(default_factory=dict)

    def said(self, row: Row) -> tuple[int, str, str]:
        """Return the exit status and both outputs of a call, masked."""
        arguments = [argument.format(data=self.data, **self.words) for argument in row.arguments]
        # Its own limits, five seconds a command, are for people who wait.
        patient = ("--command-timeout=60s", "--dial-timeout=30s")
        done = etcdctl(self.port, *patient, *arguments, text=row.text or "", seconds=90)
        if granted := re.search(r"lease (\w+) granted", done.stdout):
            self.words["lease"] = granted[1]
        status = (done.returncode, done.stdout, done.stderr)
        return status[0], self.masked(row, status[1]), self.masked(row, status[2])

    def masked(self, row: Row, text: str) -> str:
        text = text.replace(str(self.data), "DATA")
        for pattern, instead in _MASKS:
            text = re.sub(pattern, instead, text)
        verb = " ".join(row.arguments[:2])
        for of, masks in _OF_THE_MEMBER:
            if verb == of:
                for pattern, instead in masks:
                    text = re.sub(pattern, instead, text)
        if row.arguments[-1] == "table":
            # As wide as what was masked.
            text = re.sub(r" +", " ", re.sub(r"[-+]{3,}", "---", text))
        return text


@pytest.fixture(scope="module")
def sides(ours: Ours, etcd: Etcd, tmp_path_factory: pytest.TempPathFactory) -> tuple[Side, Side]:
    made = [Side(server.port, tmp_path_factory.mktemp("data")) for server in (ours, etcd)]
    return made[0], made[1]


@pytest.fixture
def new_sides(tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    """Two servers that have no history yet."""
    with ExitStack() as stack:
        made = []
        for server in (Ours(tmp_path / "ours"), Etcd(tmp_path / "etcd")):
            server.start()
            stack.callback(server.stop)
            side = Side(server.port, tmp_path / f"of-{server.port}")
            side.data.mkdir()
            told = etcdctl(side.port, "member", "list").stdout
            (side.words["member"],) = re.findall(r"(?m)^(\w+), started", told)
            made.append(side)
        yield made[0], made[1]


@pytest.mark.timeout(600)
def test_every_row_prints_what_it_prints_of_a_real_etcd(new_sides: tuple[Side, Side]) -> None:
    ours, etcd = new_sides
    different = []
    for row in SCRIPT:
        mine, theirs = ours.said(row), etcd.said(row)
        if mine != theirs:
            different.append(f"etcdctl {row}\n  ours {mine}\n  etcd {theirs}")
    assert not different, "\n".join(different)


def test_no_subcommand_is_left_out() -> None:
    told = etcdctl(1, "--help").stdout
    commands = re.search(r"COMMANDS:\n(.*?)\n\n", told, re.DOTALL)
    assert commands is not None
    known = {line.strip().split("\t")[0] for line in commands[1].splitlines()}
    called = [row.arguments for row in SCRIPT] + auth.SCRIPT
    words = [[word for word in one if not word.startswith("-")] for one in called]
    shown = {" ".join(one[:length]) for one in words for length in (1, 2)} | LONG
    assert known - shown == set(LEFT_OUT)


# ---- commands that run until they are ended ----


@contextlib.contextmanager
def running(side: Side, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        ["etcdctl", f"--endpoints=127.0.0.1:{side.port}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().rstrip("\n") for _ in range(count)]


def next_revision(side: Side) -> int:
    told = etcdctl(side.port, "get", "none", "-w", "json").stdout
    found = re.search(r'"revision":(\d+)', told)
    assert found is not None
    return int(found[1]) + 1


def watched(side: Side, *options: str) -> list[str]:
    since = next_revision(side)
    for arguments in (("put", "w/a", "1"), ("put", "w/b", "1")):
        etcdctl(side.port, *arguments)
    with running(side, "watch", "w/", "--prefix", f"--rev={since}", *options) as watch:
        history = lines(watch, 6)
        etcdctl(side.port, "put", "w/a", "2")
        etcdctl(side.port, "txn", text="\nput w/a 3\ndel w/b\n\n\n")
        etcdctl(side.port, "del", "w/", "--prefix")
        return history + lines(watch, 20 if "--prev-kv" in options else 12)


@pytest.mark.parametrize("options", [(), ("--prev-kv",)])
def test_watch_prints_the_same(sides: tuple[Side, Side], options: tuple[str, ...]) -> None:
    assert watched(sides[0], *options) == watched(sides[1], *options)


def executed(side: Side) -> list[str]:
    shown = 'echo "$ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE"'
    with running(side, "watch", "x", "--", "sh", "-c", shown) as watch:
        told: list[str] = []
        deleting = threading.Thread(target=until_told, args=(side, told))
        deleting.start()
        # The first changes may be before the watch.
        while not told or not told[-1].startswith('"DELETE" '):
            told += lines(watch, 1)
        deleting.join()
        return told[-4:]


def test_watch_runs_a_command_for_each_event(sides: tuple[Side, Side]) -> None:
    ours, etcd = (executed(side) for side in sides)
    assert ours == etcd == ["DELETE", "x", "", '"DELETE" "x" ""']


def until_told(side: Side, told: Sequence[str]) -> None:
    """Change a key until *told* has a line, then delete it."""
    while not told:
        etcdctl(side.port, "put", "x", "1")
    etcdctl(side.port, "del", "x")


def interactive(side: Side) -> list[str]:
    since = next_revision(side)
    with running(side, "watch", "--interactive") as watch:
        assert watch.stdin is not None
        asked = f"watch i/ --prefix --rev={since}\nprogress\nwatch --rev={since} j\nfetch\n"
        watch.stdin.write(asked)
        watch.stdin.flush()
        etcdctl(side.port, "put", "i/a", "1")
        etcdctl(side.port, "put", "j", "1")
        told: list[str] = []
        while len(told) < 6:
            line = lines(watch, 1)[0]
            told += [] if line.startswith(("progress notify", "Invalid command")) else [line]
        return sorted(told)


def test_a_watch_is_asked_for_more_while_it_runs(sides: tuple[Side, Side]) -> None:
    assert interactive(sides[0]) == interactive(sides[1])


def elected(side: Side) -> list[str]:
    with running(side, "elect", "job", "first") as leader:
        told = lines(leader, 2)
        with running(side, "elect", "job", "second") as next_one:
            until_keys(side, "job/", 2)
            with running(side, "elect", "--listen", "job") as observer:
                told += lines(observer, 2)
                leader.send_signal(signal.SIGINT)
                leader.wait(10)
                told += lines(next_one, 2) + lines(observer, 2)
    return [re.sub(r"^job/\w+$", "job/KEY", line) for line in told]


def test_elect_proclaims_and_observes_the_same(sides: tuple[Side, Side]) -> None:
    assert elected(sides[0]) == elected(sides[1])


def locked(side: Side) -> list[str]:
    with running(side, "lock", "mutex") as first:
        told = lines(first, 1)
        with running(side, "lock", "mutex") as second:
            until_keys(side, "mutex/", 2)
            first.send_signal(signal.SIGINT)
            told += [str(first.wait(10)), *lines(second, 1)]
            second.send_signal(signal.SIGINT)
            told.append(str(second.wait(10)))
    until_keys(side, "mutex/", 0)
    return [re.sub(r"^mutex/\w+$", "mutex/KEY", line) for line in told]


def test_lock_is_passed_on_the_same(sides: tuple[Side, Side]) -> None:
    assert locked(sides[0]) == locked(sides[1])


def kept_alive(side: Side) -> list[str]:
    granted = etcdctl(side.port, "lease", "grant", "2").stdout
    lease = granted.split()[1]
    with running(side, "lease", "keep-alive", lease) as keeping:
        told = lines(keeping, 3)
        etcdctl(side.port, "lease", "revoke", lease)
        told += [*lines(keeping, 1), str(keeping.wait(10))]
    return [line.replace(lease, "ID") for line in told]


def test_keep_alive_goes_on_until_the_lease_is_gone(sides: tuple[Side, Side]) -> None:
    assert kept_alive(sides[0]) == kept_alive(sides[1])


def mirrored(side: Side) -> str:
    for key in ("a", "b"):
        etcdctl(side.port, "put", f"from/{key}", key)
    target = f"127.0.0.1:{side.port}"
    with running(side, "make-mirror", "--prefix=from/", "--dest-prefix=to/", target):
        until_keys(side, "to/", 2)
        etcdctl(side.port, "put", "from/c", "c")
        until_keys(side, "to/", 3)
        etcdctl(side.port, "del", "from/", "--prefix")
        etcdctl(side.port, "put", "from/d", "d")
        until_keys(side, "to/", 1)
    return etcdctl(side.port, "get", "to/", "--prefix").stdout


def test_make_mirror_copies_and_follows(sides: tuple[Side, Side]) -> None:
    assert mirrored(sides[0]) == mirrored(sides[1]) == "to/d\nd\n"


def until_keys(side: Side, prefix: str, count: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        told = etcdctl(side.port, "get", prefix, "--prefix", "--keys-only").stdout.split()
        if len(told) == count:
            return
        assert time.monotonic() < deadline, f"{len(told)} keys under {prefix}, not {count}"
        time.sleep(0.05)
