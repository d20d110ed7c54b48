"""The keys of jump hosts: verified as those of any other host, by the same files."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from c101.agents.ssh.dial import SshLink, SshTarget
from c101.agents.ssh.jump import HOPS_MAX, Hop, parse_jump
from c101.agents.ssh.known_hosts import UnknownHostError, known_hosts_line
from c101.core.clock import SystemClock
from c101.core.errors import ConfigError, HostKeyError
from tests.ssh.conftest import Place, Sshd, new_host_key

pytestmark = pytest.mark.integration


@dataclass
class Hosts:
    """``first`` and ``second`` are jump hosts, ``behind`` is reached through both."""

    home: Path
    servers: dict[str, Sshd]

    def know(self, *names: str, file: str = ".ssh/known_hosts") -> Path:
        """Have *names* known by *file*."""
        lines = [
            known_hosts_line("127.0.0.1", self.servers[name].port, self.servers[name].key)
            for name in names
        ]
        path = self.home / file
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def name(self, name: str) -> str:
        return f"[127.0.0.1]:{self.servers[name].port}"


@pytest.fixture
def hosts(start_sshd: Callable[..., Sshd], place: Place, home: Path) -> Hosts:
    place.authorize("")
    (home / ".ssh").mkdir()
    names = ("first", "second", "behind")
    servers = {name: start_sshd(host_key=new_host_key(home / f"{name}.key")) for name in names}
    text = f"Host *\n  User root\n  IdentityFile {place.identity}\n  IdentitiesOnly yes\n"
    for name, server in servers.items():
        text += f"Host {name}\n  HostName 127.0.0.1\n  Port {server.port}\n"
    text += "Host behind\n  ProxyJump first,second\n"
    text += "Host nested\n  HostName 127.0.0.1\n  ProxyJump inner\n"
    text += "Host inner\n  HostName 127.0.0.1\n  ProxyJump nested\n"
    (home / ".ssh" / "config").write_text(text)
    return Hosts(home, servers)


@asynccontextmanager
async def linking(host: str, *known_hosts: Path) -> AsyncIterator[SshLink]:
    link = SshLink(SshTarget(host=host, known_hosts=known_hosts), SystemClock())
    try:
        yield link
    finally:
        await link.close()


async def test_each_on_the_way_is_asked_about_by_its_own_name(hosts: Hosts) -> None:
    on_the_way = ("first", "second", "behind")
    for number, name in enumerate(on_the_way):
        hosts.know(*on_the_way[:number])
        async with linking("behind") as link:
            with pytest.raises(UnknownHostError) as unknown:
                await link.connect()
        assert unknown.value.name == hosts.name(name)
        assert unknown.value.key == hosts.servers[name].key
    hosts.know(*on_the_way)
    async with linking("behind") as link:
        await link.connect()
        assert (await link.run("echo here", seconds=30)).output == b"here\n"


async def test_our_own_file_says_who_they_are_too(hosts: Hosts) -> None:
    ours = hosts.know("first", "second", "behind", file="ours")
    async with linking("behind", ours) as link:
        await link.connect()


async def test_a_configuration_that_trusts_anybody_is_not_heeded(hosts: Hosts) -> None:
    config = hosts.home / ".ssh" / "config"
    config.write_text(
        config.read_text() + "Host *\n  UserKnownHostsFile none\n  StrictHostKeyChecking no\n"
    )
    async with linking("behind") as link:
        with pytest.raises(UnknownHostError, match=r"the host is unknown"):
            await link.connect()


async def test_a_jump_host_whose_key_has_changed_is_refused_and_named(hosts: Hosts) -> None:
    path = hosts.know("second", "behind")
    other = hosts.servers["behind"]
    line = known_hosts_line("127.0.0.1", hosts.servers["first"].port, other.key)
    path.write_text(path.read_text() + f"{line}\n")
    async with linking("behind") as link:
        with pytest.raises(HostKeyError, match=r"ssh://first: the host key has CHANGED") as changed:
            await link.connect()
    assert f"{path}:3" in str(changed.value)
    assert not isinstance(changed.value, UnknownHostError)


async def test_a_circle_is_told(hosts: Hosts) -> None:
    async with linking("nested") as link:
        with pytest.raises(ConfigError, match=f"more than {HOPS_MAX} jump hosts, or a circle"):
            async with asyncio.timeout(20):
                await link.connect()


async def test_a_jump_host_is_left_with_the_host_behind_it(hosts: Hosts) -> None:
    hosts.know("first", "second", "behind")
    for _ in range(3):
        async with linking("behind") as link:
            await link.connect()
    hosts.know("first", "second")
    async with linking("behind") as link:
        with pytest.raises(UnknownHostError):
            await link.connect()
    async with asyncio.timeout(10):
        while any(len(server.descendants()) > 1 for server in hosts.servers.values()):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("text", "hops"),
    [
        ("", []),
        (None, []),
        ("a", [Hop("a")]),
        ("me@a:2222", [Hop("a", "me", 2222)]),
        ("a,you@b", [Hop("a"), Hop("b", "you")]),
        ("[fd00::1]:22", [Hop("fd00::1", None, 22)]),
        ("fd00::1", [Hop("fd00::1")]),
        ("ssh://me@a:22", [Hop("a", "me", 22)]),
    ],
)
def test_what_a_proxy_jump_says(text: object, hops: list[Hop]) -> None:
    assert parse_jump(text) == hops


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        parse_jump("a:ssh")
