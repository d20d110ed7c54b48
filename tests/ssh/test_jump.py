"""Many hosts behind one jump host, whose sshd takes no more at a time than it does by default."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from c101.agents.ssh.dial import SshLink, SshTarget
from c101.agents.ssh.jump import AT_ONCE, jump_gate
from c101.agents.ssh.known_hosts import known_hosts_line
from c101.core.clock import SystemClock
from c101.core.model.host import LinkPhase
from tests.ssh.conftest import Place, Sshd

HOSTS = 24

pytestmark = pytest.mark.integration


async def test_thirty_hosts_behind_one_that_takes_few_are_all_reached(
    start_sshd: Callable[..., Sshd], place: Place, home: Path
) -> None:
    place.authorize("")
    # One more than we make at once, and the next is dropped.
    jump = start_sshd(extra=f"MaxStartups {AT_ONCE + 1}:100:{AT_ONCE + 1}")
    behind = start_sshd(extra="MaxStartups 100")
    (home / ".ssh").mkdir()
    known = [known_hosts_line("127.0.0.1", one.port, one.key) for one in (jump, behind)]
    (home / ".ssh" / "known_hosts").write_text("\n".join(known) + "\n")
    (home / ".ssh" / "config").write_text(
        f"Host *\n  User root\n  IdentityFile {place.identity}\n  IdentitiesOnly yes\n"
        f"Host jump\n  HostName 127.0.0.1\n  Port {jump.port}\n"
        f"Host behind*\n  HostName 127.0.0.1\n  Port {behind.port}\n  ProxyJump jump\n"
    )
    clock = SystemClock()
    links = [SshLink(SshTarget(host=f"behind{number}"), clock) for number in range(HOSTS)]
    try:
        await asyncio.gather(*(link.connect() for link in links))
        assert {link.state.phase for link in links} == {LinkPhase.UP}
    finally:
        await asyncio.gather(*(link.close() for link in links))


async def test_other_jump_hosts_and_none_do_not_wait() -> None:
    most = {"a": 0, "b": 0, "": 0}
    now = dict(most)

    async def one(jump: str) -> None:
        async with jump_gate(f"{jump},further" if jump else None):
            now[jump] += 1
            most[jump] = max(most[jump], now[jump])
            await asyncio.sleep(0.01)
            now[jump] -= 1

    await asyncio.gather(*(one(jump) for jump in most for _ in range(2 * AT_ONCE)))
    assert most == {"a": AT_ONCE, "b": AT_ONCE, "": 2 * AT_ONCE}
