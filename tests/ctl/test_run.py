"""``run``, ``exec`` and ``list-containers`` where there are machines, and no container."""

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from c101.agents.client.agent_client import AgentClient
from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import UnixDialer
from c101.core.rpc.status import Code, RpcError
from c101.tui.ctl.remote import gather_output
from tests.ctl.site import Site
from tests.ctl.test_terminal import assert_harmless, on_a_terminal

pytestmark = pytest.mark.integration

PATIENCE_SECONDS = 30


def test_a_command_is_run_as_if_it_ran_here(site: Site) -> None:
    text = "cat; echo err >&2; exit 9"
    done = site.ctl("run", "-m", "m1", "--", "sh", "-c", text, stdin="in\n")
    assert (done.returncode, done.stdout, done.stderr) == (9, "in\n", "err\n")
    # Options behind the command's first word are its own.
    assert site.ok("run", "-m", "m1", "printf", "%s\\n", "-m", "-T") == "-m\n-T\n"


def test_on_all_machines_each_line_says_whose_it_is(site: Site) -> None:
    done = site.ctl("run", "--all", "sh", "-c", "echo one; printf two; echo e >&2; exit 3")
    assert done.returncode == 3
    assert sorted(done.stdout.splitlines()) == ["m1: one", "m1: two", "m2: one", "m2: two"]
    said = sorted(done.stderr.splitlines())
    assert said == ["m1: e", "m1: status 3", "m2: e", "m2: status 3"]
    done = site.ctl("-o", "json", "run", "-m", "m1", "-m", "m2", "sh", "-c", "echo $0; exit 4")
    assert done.returncode == 4
    found = [(one["machine"], one["status"], one["stdout"]) for one in json.loads(done.stdout)]
    assert found == [("m1", 4, "sh\n"), ("m2", 4, "sh\n")]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("run", "true"), 2, "name machines by -m, or say --all"),
        (("run", "--all", "-m", "m1", "true"), 2, "name machines by -m, or say --all"),
        (("run", "--all"), 2, "a shell is for one machine"),
        (("run", "-m", "m9", "true"), 3, "no machine is called m9"),
        (("run", "-m", "m1", "/no/such"), 1, "/no/such cannot be run: No such file or directory"),
        (("exec", "nobody"), 3, "no container is called nobody"),
        (("exec", "-m", "m9", "nobody"), 3, "no machine is called m9"),
        (("list-containers", "-m", "m9"), 3, "no machine is called m9"),
    ],
)
def test_what_cannot_be_run_says_why(
    site: Site, arguments: tuple[str, ...], status: int, said: str
) -> None:
    assert said in site.fails(status, *arguments)


def test_a_unit_without_a_container_is_told_what_to_do(site: Site) -> None:
    site.ok("start", site.write("bare.service"))
    machine = site.unit("bare.service")["machine"]
    said = site.fails(3, "exec", "bare", "true")
    assert "bare.service has no container" in said
    assert f"c101ctl run -m {machine} runs a command on its machine" in said
    site.ok("destroy", "bare")


def test_a_shell_has_our_terminal(site: Site) -> None:
    ours, theirs = pty.openpty()
    subprocess.run(["stty", "rows", "31", "cols", "77"], stdin=theirs, check=True)
    process = subprocess.Popen(
        site.command("run", "-m", "m1"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**site.environment, "TERM": "xterm"},
        cwd=site.directory,
    )
    os.write(ours, b"stty size; echo $TERM; exit 6\n")
    try:
        assert process.wait(PATIENCE_SECONDS) == 6
        os.close(theirs)
        shown = b""
        while True:
            try:
                chunk = os.read(ours, 65_536)
            except OSError:
                break
            shown += chunk
    finally:
        process.kill()
        os.close(ours)
    assert b"31 77\r\nxterm\r\n" in shown


def test_what_a_command_prints_does_not_act_on_a_terminal_it_was_not_given(site: Site) -> None:
    shown = on_a_terminal(site, "run", "--all", "printf", "\\033[2J\\007")
    assert "m1: " in shown
    assert_harmless(shown)


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_who_is_no_admin_runs_nothing(site: Site, role: str) -> None:
    (socket, *_) = sorted(Path(site.directory).parent.glob(f"**/agent-{role}.sock"))
    channel = Channel(UnixDialer(str(socket)))
    try:
        client = AgentClient(channel)
        containers, _ = await client.containers()
        assert containers == []
        with pytest.raises(RpcError, match="only admins run commands") as refused:
            await gather_output(client, ["true"], None)
        assert refused.value.status is Code.PERMISSION_DENIED
    finally:
        await channel.close()
