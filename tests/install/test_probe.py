"""What a host is asked, by the real shell and Python of this computer; and who is refused."""

import os
import subprocess
from pathlib import Path

import pytest

from c101.agents.install import probe
from c101.agents.install.probe import HostFacts, UnfitHostError
from c101.agents.install.target import here
from c101.agents.ssh.dial import Ran

FIT = HostFacts(
    python="3.11",
    implementation="CPython",
    executable="/usr/bin/python3",
    processor="x86_64",
    libc="glibc",
    user="root",
    root=True,
    sudo=True,
    systemd=True,
    machine_id="a1",
    hostname="m1",
    address="10.0.0.1",
    port=22,
    host_keys=(),
    installed="",
    has_agent=False,
)


def ask(path: str, **more: str) -> Ran:
    done = subprocess.run(
        ["/bin/sh", "-c", probe.COMMAND],
        input=probe.script(),
        capture_output=True,
        check=False,
        timeout=30,
        env={"PATH": path, **more},
    )
    return Ran(status=done.returncode, output=done.stdout, complaint=done.stderr)


def test_this_computer_says_what_it_is() -> None:
    found = probe.read(ask(os.environ["PATH"], SSH_CONNECTION="10.0.0.9 5000 10.0.0.1 2222"), "m")
    assert found.target.processor == here().processor
    assert found.root == (os.geteuid() == 0)
    assert found.libc == "glibc"
    assert (found.address, found.port) == ("10.0.0.1", 2222)
    assert found.hostname == os.uname().nodename


def test_what_a_login_prints_besides_is_passed_over() -> None:
    ran = ask(os.environ["PATH"])
    noisy = Ran(status=0, output=b"Welcome!\nc101-probe? no\n" + ran.output, complaint=b"motd\n")
    assert probe.read(noisy, "m") == probe.read(ran, "m")


def test_a_host_without_python_is_told_what_would_do(tmp_path: Path) -> None:
    for tool in ("sh", "uname"):
        (tmp_path / tool).symlink_to(f"/bin/{tool}")
    with pytest.raises(UnfitHostError, match="no Python that will do") as caught:
        probe.read(ask(str(tmp_path)), "m1")
    assert "3.11" in (caught.value.hint or "")


def test_an_older_python_is_named_and_a_newer_one_beside_it_taken(tmp_path: Path) -> None:
    for tool in ("sh", "uname"):
        (tmp_path / tool).symlink_to(f"/bin/{tool}")
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)
    with pytest.raises(UnfitHostError, match=r"Python 3\.9\.2"):
        probe.read(ask(str(tmp_path)), "m1")
    newer = next(
        Path(one) for one in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(one).exists()
    )
    script = f'#!/bin/sh\nexec {newer} "$@"\n'
    (tmp_path / "python3.12").write_text(script)
    (tmp_path / "python3.12").chmod(0o755)
    assert probe.read(ask(str(tmp_path)), "m1").hostname == os.uname().nodename


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"python": "3.10"}, "3.10"),
        ({"python": "3.14"}, "3.14"),
        ({"processor": "riscv64"}, "riscv64"),
        ({"implementation": "PyPy"}, "PyPy"),
        ({"libc": ""}, "C library"),
        ({"systemd": False}, "systemd"),
        ({"root": False, "sudo": False, "user": "anna"}, "anna may not become root"),
        ({"machine_id": ""}, "machine-id"),
    ],
)
def test_who_cannot_run_an_agent_is_refused(changes: dict[str, object], said: str) -> None:
    facts = HostFacts(**{**{name: getattr(FIT, name) for name in FIT.__slots__}, **changes})
    with pytest.raises(UnfitHostError, match=said):
        probe.check(facts, "m1")


def test_who_can_is_not() -> None:
    probe.check(FIT, "m1")


@pytest.mark.parametrize(
    "output", [b"", b"c101-probe {", b'c101-probe {"python": 3}', b"\xff\x1b[2J"]
)
def test_a_host_that_answers_nonsense_is_refused(output: bytes) -> None:
    with pytest.raises(UnfitHostError) as caught:
        probe.read(Ran(status=0, output=output, complaint=b""), "m1")
    assert "\x1b" not in str(caught.value)
