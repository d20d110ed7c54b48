"""What a process of a unit finds: environment, directory, user, limits, descriptors."""

import os
import pwd
import signal
import textwrap
from pathlib import Path

import pytest

from tests.runtime.machine import Machine

as_root = pytest.mark.skipif(os.getuid() != 0, reason="changing the user needs root")


async def output_of(machine: Machine, service: str, name: str = "a.service") -> list[str]:
    """Run a oneshot unit and return what it printed."""
    await machine.run(name, "Type=oneshot\n" + textwrap.dedent(service))
    rest = await machine.until_rest(name)
    assert rest.result == "success", await machine.said(name)
    return await machine.printed(name)


async def environment_of(machine: Machine, service: str) -> dict[str, str]:
    lines = await output_of(machine, f"{textwrap.dedent(service)}\nExecStart=/usr/bin/env")
    return dict(line.split("=", 1) for line in lines)


async def test_the_environment_is_small_and_says_where_one_is(machine: Machine) -> None:
    found = await environment_of(machine, "")
    assert found.keys() == {
        "PATH", "INVOCATION_ID", "SYSTEMD_EXEC_PID", "C101_MACHINE", "C101_UNIT",
    }  # fmt: skip
    assert found["C101_UNIT"] == "a.service"
    assert len(found["INVOCATION_ID"]) == 32


async def test_assignments_add_up_and_files_override_them(machine: Machine, tmp_path: Path) -> None:
    one = tmp_path / "one.env"
    one.write_text('# comment\nB=file\nC=\'a b\'\n\nnonsense\nD="x\\"y" \nE=a \\\n  b\n')
    found = await environment_of(
        machine,
        f"""
        Environment=A=1 "B=two words" "F=a=b"
        Environment=G=${{A}} H=$A I=%N J=
        EnvironmentFile=-{tmp_path}/missing
        EnvironmentFile={one}
        UnsetEnvironment=F A=2
        """,
    )
    wanted = {"A": "1", "B": "file", "C": "a b", "D": 'x"y', "E": "a   b"}
    wanted |= {"G": "${A}", "H": "$A", "I": "a", "J": ""}
    assert {name: found[name] for name in wanted} == wanted
    assert "F" not in found


async def test_a_missing_environment_file_is_a_lack_of_resources(machine: Machine) -> None:
    await machine.run("a.service", "EnvironmentFile=/no/such/file\nExecStart=/bin/true")
    failed = await machine.until_state("a.service", "failed", "failed")
    assert failed.result == "resources"
    assert any("Failed to load environment files" in s for s in await machine.said("a.service"))


async def test_variables_of_the_agent_are_passed_by_name_only(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSED", "yes")
    monkeypatch.setenv("NOT_PASSED", "no")
    found = await environment_of(machine, "PassEnvironment=PASSED ABSENT")
    assert found["PASSED"] == "yes"
    assert not found.keys() & {"NOT_PASSED", "ABSENT"}


async def test_variables_in_a_command_line_are_replaced_as_systemd_does(machine: Machine) -> None:
    lines = await output_of(
        machine,
        r"""
        Environment="TWO=one two" "EMPTY=" "QUOTED='a b' c"
        ExecStart=/usr/bin/printf "<%%s>" ${TWO} $TWO x${TWO}y $EMPTY ${EMPTY} $QUOTED $$TWO \
            a$TWO %p
        ExecStart=:/usr/bin/printf "<%%s>" $TWO ${TWO}
        """,
    )
    assert lines == ["<one two><one><two><xone twoy><><a b><c><$TWO><a$TWO><a>", "<$TWO><${TWO}>"]


async def test_the_name_of_a_program_can_be_another_than_its_file(machine: Machine) -> None:
    lines = await output_of(machine, "ExecStart=@/bin/sh other -c 'echo $$0'")
    assert lines == ["other"]


async def test_a_program_is_found_by_its_name(machine: Machine) -> None:
    assert await output_of(machine, "ExecStart=echo found") == ["found"]


@pytest.mark.parametrize(
    ("directory", "wanted"),
    [("", "/"), ("/usr", "/usr"), ("~", "HOME"), ("-/no/such", "/")],
)
async def test_the_working_directory_is_the_one_asked_for(
    machine: Machine, directory: str, wanted: str
) -> None:
    home = pwd.getpwuid(os.getuid()).pw_dir
    lines = await output_of(machine, f"WorkingDirectory={directory}\nExecStart=/bin/pwd")
    assert lines == [wanted.replace("HOME", home)]


async def test_a_missing_working_directory_is_said_by_its_exit_status(machine: Machine) -> None:
    await machine.run("a.service", "WorkingDirectory=/no/such\nExecStart=/bin/true")
    failed = await machine.until_state("a.service", "failed", "failed")
    assert failed.exit_status == 200


async def test_mask_limits_and_niceness_are_set(machine: Machine) -> None:
    lines = await output_of(
        machine,
        """
        UMask=0027
        LimitNOFILE=500:600
        LimitCORE=0
        Nice=5
        ExecStart=/bin/sh -c 'umask; ulimit -Sn; ulimit -Hn; ulimit -c; nice'
        """,
    )
    assert lines == ["0027", "500", "600", "0", "5"]


async def test_signals_are_as_a_fresh_process_has_them(machine: Machine) -> None:
    """Only SIGPIPE is ignored (IgnoreSIGPIPE=), and nothing is blocked."""
    lines = await output_of(machine, "ExecStart=/bin/grep -E 'SigBlk|SigIgn' /proc/self/status")
    assert _signals(lines) == {"SigBlk": 0, "SigIgn": 1 << (signal.SIGPIPE - 1)}
    lines = await output_of(
        machine, "IgnoreSIGPIPE=no\nExecStart=/bin/grep SigIgn /proc/self/status", "b.service"
    )
    assert _signals(lines[-1:]) == {"SigIgn": 0}


def _signals(lines: list[str]) -> dict[str, int]:
    """Read masks of /proc/PID/status, without the two signals that the C library keeps to itself.

    Nobody can set those by its interface; what a process has for them comes from whoever ran this.
    """
    kept_by_libc = 1 << (32 - 1) | 1 << (33 - 1)
    pairs = (line.split(":") for line in lines)
    return {name: int(mask, 16) & ~kept_by_libc for name, mask in pairs}


async def test_a_process_has_three_descriptors_and_a_session(machine: Machine) -> None:
    lines = await output_of(
        machine,
        "ExecStart=/bin/sh -c 'cd /proc/$$$$; ls fd; readlink fd/0; ps -o sid= $$$$; echo $$$$'",
    )
    assert lines[:-2] == ["0", "1", "2", "/dev/null"]
    assert lines[-2].strip() == lines[-1]


@as_root
async def test_another_user_has_its_groups_home_and_nothing_more(machine: Machine) -> None:
    lines = await output_of(
        machine,
        """
        User=nobody
        SupplementaryGroups=daemon
        ExecStart=/bin/sh -c 'id -un; id -gn; id -Gn; echo $$HOME $$USER $$LOGNAME'
        ExecStart=+/usr/bin/id -un
        ExecStart=!/usr/bin/id -un
        ExecStart=!!/usr/bin/id -un
        """,
    )
    home = pwd.getpwnam("nobody").pw_dir
    assert lines[:2] == ["nobody", "nogroup"]
    assert set(lines[2].split()) == {"nogroup", "daemon"}
    assert lines[3:] == [f"{home} nobody nobody", "root", "root", "nobody"]


@as_root
async def test_a_group_can_be_asked_for_alone(machine: Machine) -> None:
    assert await output_of(machine, "Group=daemon\nExecStart=/usr/bin/id -gn") == ["daemon"]


@as_root
@pytest.mark.parametrize(("directive", "status"), [("User=nosuchuser", 217), ("Group=nosuch", 216)])
async def test_an_unknown_user_or_group_is_said_by_the_exit_status(
    machine: Machine, directive: str, status: int
) -> None:
    await machine.run("a.service", f"{directive}\nExecStart=/bin/true")
    failed = await machine.until_state("a.service", "failed", "failed")
    assert failed.exit_status == status


@as_root
async def test_a_unit_of_another_user_reaches_the_notification_socket(machine: Machine) -> None:
    code = (
        "import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
        's.connect(chr(0) + os.environ["NOTIFY_SOCKET"][1:]); s.send(b"READY=1"); time.sleep(1000)'
    )
    await machine.run(
        "a.service", f"Type=notify\nUser=nobody\nExecStart=/usr/bin/python3 -c '{code}'"
    )
    await machine.until_state("a.service", "active", "running")


@pytest.fixture
def deep_path(tmp_path: Path) -> Path:
    """Give a directory whose path does not fit into a socket's address."""
    deep = tmp_path
    while len(str(deep)) < 300:
        deep /= "d" * 50
    deep.mkdir(parents=True)
    return deep


async def test_output_can_go_to_a_file(machine: Machine, deep_path: Path) -> None:
    log, errors = deep_path / "log", deep_path / "errors"
    log.write_text("before\n")
    errors.write_text("gone\n")
    lines = await output_of(
        machine,
        f"""
        StandardOutput=append:{log}
        StandardError=truncate:{errors}
        ExecStart=/bin/sh -c 'echo out; echo err >&2'
        """,
    )
    assert lines == []
    assert (log.read_text(), errors.read_text()) == ("before\nout\n", "err\n")
    silent = "StandardOutput=null\nExecStart=/bin/sh -c 'echo x; echo y >&2'"
    assert await output_of(machine, silent, "b.service") == []
