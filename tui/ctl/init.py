"""``init``: the first machine of a cluster."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from c101.core.config import SshAccess
from c101.core.errors import ConfigError, LinkError
from c101.core.model.machine import parse_metadata
from c101.tui.ctl.hosts import accept_option
from c101.tui.ctl.membership import (
    agent_dir_option,
    agent_folder,
    asked_host,
    cluster_of,
    document,
    kv_port_option,
    metadata_option,
    teller,
    write_down,
)
from c101.tui.ctl.output import print_json, say
from c101.tui.ctl.reaching import Trust, parse_host, target_of
from c101.tui.ctl.session import Options, Session, session

if TYPE_CHECKING:
    from c101.agents.install.cluster import Member

#: From the start of the KV to its first answer.
KV_SECONDS_MAX = 30.0
_LOOK_SECONDS = 0.2
_NAME_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.-_"


@click.command("init")
@click.argument("host", metavar="[USER@]HOST[:PORT]")
@click.option(
    "--cluster", "name", metavar="NAME", help="What you call the cluster.  [default: HOST]"
)
@click.option("--name", "machine", default="", help="What the machine is called.")
@click.option("--address", default="", help="Where the other machines will reach HOST.")
@click.option("--listen", multiple=True, metavar="URL", help="Where the KV listens besides.")
@metadata_option
@kv_port_option
@agent_dir_option
@accept_option
@click.pass_obj
def init_command(
    options: Options,
    *,
    host: str,
    name: str | None,
    machine: str,
    address: str,
    listen: tuple[str, ...],
    metadata: str,
    kv_port: int | None,
    agent_dir: Path | None,
    accept_new: bool,
) -> None:
    """Make HOST the first machine of a cluster: KV, engine and agent, as systemd services.

    It needs sshd, systemd and Python 3.11 or newer, and you to log in there by a key.
    """
    from c101.agents.install.cluster import Shipping, Wanted, make_core
    from c101.agents.install.cores import Cores
    from c101.agents.install.probe import check

    user, hostname, port = parse_host(host)
    called = name or hostname.partition(".")[0].lower()
    if not called.strip(_NAME_LETTERS) == "" or called.startswith("."):
        raise ConfigError(f"not a name for a cluster: {called!r}", hint="--cluster NAME gives one")
    wanted = Wanted(
        name=machine, address=address, metadata=parse_metadata(metadata), kv_port=kv_port
    )

    async def made() -> "Member":
        trust = Trust(accept_new=accept_new)
        tell = teller(options)
        async with asked_host(target_of(host, SshAccess()), trust) as remote:
            check(remote.facts, remote.name)
            shipping = Shipping(agent_folder(agent_dir), tell)
            changed = await make_core(remote, shipping, listen, tell)
            where = f"[{hostname}]" if ":" in hostname else hostname
            there = f"{user}@{where}" if user else where
            kv = f"ssh://{there}{f':{port}' if port else ''}/kv-admin"
            write_down(called, kv)
            at_it = replace(options, kv=None, cluster=called)
            async with session(at_it) as current:
                await _answering(current)
                async with cluster_of(current, Cores([remote]), tell) as cluster:
                    member = await cluster.add(remote, shipping, wanted)
        return replace(member, changed=(*changed, *member.changed))

    member = asyncio.run(made())
    if options.json:
        print_json({"cluster": called, **document(member)})
        return
    say(f"{called} has its first machine, {member.name}; it is your cluster by that name")
    say(f"  c101ctl --cluster {called} machines add [USER@]HOST...   adds others")
    say(f"  c101-console --cluster {called}")


async def _answering(current: Session) -> None:
    """Wait until the KV that was just started answers. Raises LinkError."""
    try:
        async with asyncio.timeout(KV_SECONDS_MAX):
            while True:
                try:
                    await current.client.status()
                except LinkError:
                    await current.clock.sleep(_LOOK_SECONDS)
                else:
                    return
    except TimeoutError:
        raise LinkError(
            f"the KV does not answer within {KV_SECONDS_MAX:g} s",
            hint="journalctl -u c101-kv.service there says why",
        ) from None
