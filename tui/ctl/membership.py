"""What ``init`` and ``machines`` share: hosts that were asked, and how it is told."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from c101.core.config import cluster_path
from c101.core.errors import C101Error, ConfigError, LinkError
from c101.tui.ctl.output import print_error, print_json, print_table, say
from c101.tui.ctl.reaching import Trust, linked
from c101.tui.ctl.session import Options, Session

if TYPE_CHECKING:
    from c101.agents.install.cluster import Cluster, Member
    from c101.agents.install.cores import Cores
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

kv_port_option = click.option(
    "--kv-port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    help="Serve the KV there to the machine's programs, on loopback; 0: no more.",
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
async def hosts_of_kv(current: Session, trust: Trust, agent_kv: str = "") -> "AsyncIterator[Cores]":
    """Hold the hosts of the KV, where they are reached over SSH and agents are to use them.

    Raises LinkError: none of them is reached.
    """
    from c101.agents.install.cores import Cores
    from c101.agents.ssh.endpoints import kv_target
    from c101.core.rpc.dial import split_urls

    urls = split_urls(current.options.endpoints())
    if agent_kv or not all(url.startswith("ssh://") for url in urls):
        yield Cores()
        return
    async with AsyncExitStack() as stack:

        async def hold(url: str) -> "RemoteHost | LinkError":
            try:
                where = kv_target(url, current.address.ssh)
                return await stack.enter_async_context(asked_host(where, trust))
            except LinkError as error:
                return error

        found = [await hold(url) for url in urls]
        hosts = [one for one in found if not isinstance(one, LinkError)]
        if not hosts:
            assert isinstance(found[0], LinkError)
            raise found[0]
        missing = [
            urlsplit(url).hostname or url
            for url, one in zip(urls, found, strict=True)
            if isinstance(one, LinkError)
        ]
        yield Cores(hosts, missing)


@asynccontextmanager
async def cluster_of(
    current: Session, cores: "Cores", tell: Callable[[str, str], None]
) -> "AsyncIterator[Cluster]":
    """Hold the cluster, with what is known of it followed."""
    from c101.agents.install.cluster import Cluster
    from c101.tui.ctl.waiting import mirrored

    async with mirrored(current) as mirror:
        yield Cluster(current.registry, mirror, current.clock, cores=cores, tell=tell)


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


def write_down(name: str, kv: str, *, instead: bool = False) -> str:
    """Have *name* mean the cluster at *kv* from now on, in a file of its own; say where.

    *instead* of what the file says now: where there is none, nothing is written, and "" returned.
    Raises ConfigError: it names another cluster.
    """
    path = cluster_path(os.environ, name)
    text = f"kv: {kv}\n"
    try:
        if instead:
            if not path.exists():
                return ""
            kept = [line for line in path.read_text().splitlines() if not line.startswith("kv:")]
            text += "".join(f"{line}\n" for line in kept)
        elif path.exists() and path.read_text() != text:
            raise ConfigError(
                f"{path} names another cluster", hint="--cluster NAME gives this one another name"
            )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    return f"  {path} says where it is"


def report(
    options: Options,
    names: tuple[str, ...],
    results: "list[Member | C101Error]",
    *,
    dry_run: bool,
) -> None:
    """Print what was done of each; raise the first error when there was one."""
    pairs = list(zip(dict.fromkeys(names), results, strict=True))
    failed = [(name, result) for name, result in pairs if isinstance(result, C101Error)]
    done = [result for _, result in pairs if not isinstance(result, C101Error)]
    if options.json:
        errors = [
            {"host": name, "error": {"code": error.code, "message": str(error), "hint": error.hint}}
            for name, error in failed
        ]
        print_json([*map(document, done), *errors])
    elif dry_run:
        print_table(
            ("HOST", "WOULD"), [(m.host, one) for m in done for one in m.changed], legend=True
        )
    else:
        rows = [(m.name, m.machine_id[:8], m.host, _summary(m)) for m in done]
        if rows:
            print_table(("NAME", "ID", "HOST", "DONE"), rows, legend=True)
    if failed:
        for _, error in failed[1:] if not options.json else ():
            print_error(error.code, str(error), error.hint, json=False)
        raise failed[0][1]


def _summary(member: "Member") -> str:
    return f"{len(member.changed)} changes" if member.changed else "nothing: it was as wanted"
