"""From systemd's properties to what the cluster knows."""

from pathlib import Path

import pytest

from c101.agents.runtime.systemd import cgroup
from c101.agents.runtime.systemd.states import describe, load_error
from c101.agents.runtime.systemd.unit_files import Note
from c101.core.model.host import UnitResources
from c101.core.model.pressure import share_waiting

RAN = {
    "ActiveEnterTimestamp": 1_000_000,
    "ActiveExitTimestamp": 2_000_000,
    "InactiveEnterTimestamp": 3_000_000,
    "InactiveExitTimestamp": 500_000,
    "LoadState": "loaded",
}


@pytest.mark.parametrize(
    ("active", "since"),
    [("active", 1), ("reloading", 1), ("deactivating", 2), ("inactive", 3), ("activating", 0.5)],
)
def test_since_is_when_it_came_into_the_state_it_is_in(active: str, since: float) -> None:
    unit = describe("a.service", Note(), {**RAN, "ActiveState": active}, "")
    assert (unit.active, unit.since) == (active, since)


@pytest.mark.parametrize(("code", "status"), [(0, None), (1, 7), (2, 9)])
def test_an_exit_status_is_there_once_the_process_has_ended(code: int, status: int | None) -> None:
    unit = describe("a.service", Note(), {"ExecMainCode": code, "ExecMainStatus": status or 0}, "")
    assert unit.exit_status == status


def test_of_a_unit_that_was_never_read_what_is_known_is_said() -> None:
    unit = describe("a.service", Note(hash="h", restart="1:"), {}, "")
    assert (unit.load, unit.active, unit.sub, unit.hash) == ("loaded", "inactive", "dead", "h")
    assert (unit.restart, unit.main_pid, unit.since) == ("1:", None, 0)


def test_why_a_text_was_not_taken_is_said() -> None:
    error = ("org.freedesktop.systemd1.BadUnitSetting", "Unit a.service has a bad setting.")
    found = {"LoadState": "bad-setting", "LoadError": error}
    assert load_error(found) == "Unit a.service has a bad setting."
    assert load_error({"LoadState": "loaded", "LoadError": ("", "")}) == ""


HYBRID = """\
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0
"""


@pytest.mark.parametrize(
    ("mounts", "root"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0", "/sys/fs/cgroup"),
        (HYBRID, "/sys/fs/cgroup/systemd"),
        ("tmpfs /tmp tmpfs rw 0 0", None),
    ],
)
def test_where_systemds_groups_are(mounts: str, root: str | None) -> None:
    assert cgroup.hierarchy(mounts) == (None if root is None else Path(root))


def test_processes_are_those_of_a_group_and_all_below(tmp_path: Path) -> None:
    below = tmp_path / "system.slice" / "a.service" / "payload"
    below.mkdir(parents=True)
    (below / "cgroup.procs").write_text("30\n7\n")
    (below.parent / "cgroup.procs").write_text("12\n")
    assert cgroup.read(tmp_path, "/system.slice/a.service").pids == (7, 12, 30)
    for group in ("/system.slice/gone.service", ""):
        assert cgroup.read(tmp_path, group) == cgroup.Found()
    assert cgroup.read(None, "/x") == cgroup.Found()


def test_what_a_unit_uses_is_what_its_group_counts(tmp_path: Path) -> None:
    group = tmp_path / "a.service"
    group.mkdir()
    for name, text in {
        "cgroup.procs": "1\n",
        "memory.current": "4096\n",
        "pids.current": "3\n",
        "cpu.stat": "usage_usec 1500000\nuser_usec 1000000\n",
        "io.stat": "8:0 rbytes=100 wbytes=20 rios=1 wios=1\n8:16 rbytes=1 wbytes=2 rios=0\n",
        "io.pressure": "some avg10=2.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=1.00\n",
    }.items():
        (group / name).write_text(text)
    assert cgroup.read(tmp_path, "/a.service").resources == UnitResources(
        memory_bytes=4096,
        cpu_seconds=1.5,
        tasks=3,
        read_bytes=101,
        written_bytes=22,
        pressure={"io": 2.5},
    )


def test_what_a_machine_does_not_count_is_not_known(tmp_path: Path) -> None:
    group = tmp_path / "a.service"
    group.mkdir()
    (group / "cgroup.procs").write_text("1\n")
    (group / "memory.current").write_text("max\n")
    (group / "io.stat").write_text("8:0 rbytes=x wbytes\n")
    found = cgroup.read(tmp_path, "/a.service").resources
    assert found == UnitResources(read_bytes=0, written_bytes=0)


@pytest.mark.parametrize("text", ["", "full avg10=1.00", "some avg60=1.00", "some avg10=x"])
def test_a_pressure_that_is_not_told_is_none(text: str) -> None:
    assert share_waiting(text) is None
