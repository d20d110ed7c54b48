"""The gateway, met by the real OpenSSH client."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from c101.agents.ssh.gateway import Gateway, GatewayLimits
from c101.agents.ssh.keys import ensure_key
from tests.ssh.conftest import COMMAND, EchoService, Place

pytestmark = pytest.mark.integration


async def run_ssh(
    place: Place, port: int, *arguments: str, sent: bytes = b""
) -> tuple[int, bytes, str]:
    process = await asyncio.create_subprocess_exec(
        *place.ssh(port, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(sent)
    assert process.returncode is not None
    return process.returncode, out, err.decode()


async def test_the_forced_command_joins_the_client_to_the_socket(
    gateway: Gateway, place: Place
) -> None:
    status, out, err = await run_ssh(place, gateway.port, "127.0.0.1", COMMAND, sent=b"hello")
    assert (status, out) == (0, b"hello"), err


async def test_the_forced_command_wins_over_the_one_asked_for(
    gateway: Gateway, place: Place
) -> None:
    status, out, _ = await run_ssh(place, gateway.port, "127.0.0.1", "rm -rf /", sent=b"hi")
    assert (status, out) == (0, b"hi")


async def test_eight_megabytes_come_back_whole(gateway: Gateway, place: Place) -> None:
    sent = bytes(range(256)) * 32_768
    status, out, err = await run_ssh(place, gateway.port, "127.0.0.1", COMMAND, sent=sent)
    assert status == 0, err
    assert out == sent


async def test_a_key_that_is_not_authorized_is_refused(gateway: Gateway, place: Place) -> None:
    stranger = place.root / "stranger"
    ensure_key(stranger)
    place.identity = stranger
    status, _, err = await run_ssh(place, gateway.port, "127.0.0.1", COMMAND)
    assert status == 255
    assert "Permission denied (publickey)" in err


async def test_a_key_removed_from_the_file_opens_nothing_more(
    gateway: Gateway, place: Place
) -> None:
    place.authorized_keys.write_text("")
    status, _, err = await run_ssh(place, gateway.port, "127.0.0.1", COMMAND)
    assert status == 255
    assert "Permission denied" in err


async def test_keys_that_others_may_write_let_nobody_in(gateway: Gateway, place: Place) -> None:
    place.authorized_keys.chmod(0o660)
    status, _, err = await run_ssh(place, gateway.port, "127.0.0.1", COMMAND)
    assert (status, "Permission denied" in err) == (255, True)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param("", id="a key without a forced command reaches nothing"),
        pytest.param("restrict", id="nor does a restricted one"),
        pytest.param('command="c101-core --stdio admin"', id="nor one for another relay"),
        pytest.param(f'command="{COMMAND} "', id="nor one that is nearly the relay's"),
    ],
)
async def test_a_key_reaches_exactly_what_it_is_given(
    options: str, gateway: Gateway, place: Place, echo: EchoService
) -> None:
    place.authorize(options)
    status, out, err = await run_ssh(place, gateway.port, "127.0.0.1", COMMAND, sent=b"hello")
    assert status == 255
    assert "exec request failed" in err
    assert out == b""
    assert echo.connections == 0


@pytest.mark.parametrize(
    "options",
    [
        f'command="{COMMAND}",verify-required',
        f'command="{COMMAND}",from="10.0.0.0/8"',
        f'command="{COMMAND}",from="!127.0.0.1,*"',
        f'command="{COMMAND}",expiry-time="20200101"',
        f'command="{COMMAND}",environment="A=B"',
    ],
)
async def test_a_key_with_a_condition_that_does_not_hold_is_refused(
    options: str, gateway: Gateway, place: Place
) -> None:
    place.authorize(options)
    status, _, err = await run_ssh(place, gateway.port, "127.0.0.1", COMMAND)
    assert (status, "Permission denied" in err) == (255, True), err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(("127.0.0.1",), "shell request failed", id="a shell is refused"),
        pytest.param(
            ("-tt", "127.0.0.1", COMMAND), "PTY allocation request failed", id="a terminal"
        ),
        pytest.param(("-s", "127.0.0.1", "sftp"), "subsystem request failed", id="a subsystem"),
        pytest.param(
            ("-W", "127.0.0.1:22", "127.0.0.1"), "stdio forwarding failed", id="forwarding"
        ),
        pytest.param(
            ("-oExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22", "127.0.0.1", COMMAND),
            "remote port forwarding failed",
            id="remote forwarding",
        ),
        pytest.param(
            ("-w", "0:0", "-N", "-oExitOnForwardFailure=yes", "127.0.0.1"), "", id="a tunnel"
        ),
    ],
)
async def test_everything_else_is_refused(
    arguments: tuple[str, ...], complaint: str, gateway: Gateway, place: Place
) -> None:
    place.authorize(f'command="{COMMAND}",pty,port-forwarding,agent-forwarding')
    status, _, err = await run_ssh(place, gateway.port, *arguments)
    assert complaint in err
    if "-tt" not in arguments:  # without its terminal the client goes on to run the command
        assert status == 255, err


async def test_environment_variables_are_refused(gateway: Gateway, place: Place) -> None:
    status, out, err = await run_ssh(
        place, gateway.port, "-vv", "-oSetEnv=LD_PRELOAD=evil", "127.0.0.1", COMMAND, sent=b"x"
    )
    assert (status, out) == (0, b"x"), err


async def forward(place: Place, port: int, local: Path, remote: Path) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *place.ssh(port, "-N", "-L", f"{local}:{remote}", "127.0.0.1"), stderr=subprocess.DEVNULL
    )
    try:
        while not local.exists():
            await asyncio.sleep(0.02)
        reader, writer = await asyncio.open_unix_connection(local)
        try:
            writer.write(b"direct")
            writer.write_eof()
            return await reader.read()
        except OSError:  # refused: reset, or closed before the half-close
            return b""
        finally:
            writer.close()
    finally:
        process.kill()
        await process.wait()


async def test_streamlocal_reaches_only_the_socket_that_the_key_names(
    gateway: Gateway, place: Place, echo: EchoService, tmp_path: Path
) -> None:
    place.authorize(f'restrict,c101-socket="{echo.path}"')
    assert await forward(place, gateway.port, tmp_path / "l1", echo.path) == b"direct"
    place.authorize(f'restrict,command="{COMMAND}",port-forwarding')
    assert await forward(place, gateway.port, tmp_path / "l2", echo.path) == b""
    place.authorize(f'restrict,c101-socket="{echo.path}x"')
    assert await forward(place, gateway.port, tmp_path / "l3", echo.path) == b""


async def test_a_service_that_is_not_there_is_said_so(
    start_gateway: Callable[..., Awaitable[Gateway]], place: Place, tmp_path: Path
) -> None:
    gateway = await start_gateway({COMMAND: tmp_path / "nothing.sock"})
    status, _, err = await run_ssh(place, gateway.port, "127.0.0.1", COMMAND)
    assert status == 5
    assert "nobody answers on" in err


async def test_a_client_with_many_wrong_keys_is_cut_after_the_third(
    start_gateway: Callable[..., Awaitable[Gateway]], place: Place, echo: EchoService
) -> None:
    gateway = await start_gateway({COMMAND: echo.path}, limits=GatewayLimits(auth_tries_max=3))
    wrong = []
    for number in range(5):
        ensure_key(place.root / f"wrong{number}")
        wrong.append(f"-i{place.root / f'wrong{number}'}")
    right, place.identity = place.identity, place.root / "wrong0"
    status, _, err = await run_ssh(place, gateway.port, *wrong, f"-i{right}", "127.0.0.1", COMMAND)
    assert status == 255
    assert "Too many keys tried" in err
