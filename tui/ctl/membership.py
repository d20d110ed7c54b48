"""What ``init`` and ``machines`` share: hosts that were asked, and how it is told."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from c101.core.errors import ConfigError
from c101.tui.ctl.output import say
from c101.tui.ctl.reaching import Trust, linked
from c101.tui.ctl.session import Options, Session

if TYPE_CHECKING:
    from c101.agents.install.cluster import Cluster, Member
    from c101.agents.install.host import RemoteHost
    from c101.agents.ssh.dial import SshTarget

agent_dir_option = click.option(
    "--agent-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where `make agent` put its files. [default: dist/agent, where that is]",
)
metadata_option = click.option(
    "--metadata", default="", metavar="K=V,...", help="What units may ask of the machine."
)


@asynccontextmanager
async def asked_host(target: "SshTarget", trust: Trust) -> "AsyncIterator[RemoteHost]":
    """Hold a host that was asked what it is."""
    from c101.agents.install.host import RemoteHost
    from c101.core.clock import SystemClock

    async with linked(target, trust, SystemClock()) as link:
        remote = RemoteHost(link)
        await remote.ask()
        yield remote


@asynccontextmanager
async def host_of_kv(
    current: Session, trust: Trust, agent_kv: str
) -> "AsyncIterator[RemoteHost | None]":
    """Hold the host of the KV, where it is reached over SSH and agents are to use it."""
    from urllib.parse import urlsplit

    from c101.agents.ssh.endpoints import target

    url = current.options.endpoints()
    if agent_kv or not url.startswith("ssh://"):
        yield None
        return
    parts = urlsplit(url)
    if not parts.hostname:
        raise ConfigError(f"not an endpoint: {url}")
    where = target(current.address.ssh, parts.hostname, parts.port, user=parts.username or "")
    async with asked_host(where, trust) as remote:
        yield remote


@asynccontextmanager
async def cluster_of(
    current: Session, core: "RemoteHost | None", tell: Callable[[str, str], None]
) -> "AsyncIterator[Cluster]":
    """Hold the cluster, with what is known of it followed."""
    from c101.agents.install.cluster import Cluster
    from c101.tui.ctl.waiting import mirrored

    async with mirrored(current) as mirror:
        yield Cluster(current.registry, mirror, current.clock, core=core, tell=tell)


def document(member: "Member") -> dict[str, Any]:
    """Return what scripts are told of a machine."""
    return {
        "host": member.host,
        "id": member.machine_id,
        "name": member.name,
        "changed": list(member.changed),
    }


def teller(options: Options) -> Callable[[str, str], None]:
    """Return what tells a person how far a host is."""

    def tell(host: str, text: str) -> None:
        if not options.json:
            say(f"{host}: {text}")

    return tell


def agent_folder(given: Path | None) -> Path | None:
    """Return where the agent's files are: as given, or where a checkout has them."""
    import c101

    if given is not None:
        if not given.is_dir():
            raise ConfigError(f"{given} is no directory", hint="`make agent` makes dist/agent")
        return given
    return Path(c101.__file__).parents[1] / "dist" / "agent"
