"""``machines``: making hosts machines of the cluster, with nothing but SSH and Python on them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from c101.core.errors import C101Error, ConfigError, LinkError
from c101.core.model.machine import parse_metadata
from c101.tui.ctl.host_keys import rotate_host_keys_command
from c101.tui.ctl.hosts import accept_option
from c101.tui.ctl.intents import cordon_command, drain_command, uncordon_command
from c101.tui.ctl.membership import (
    agent_dir_option,
    agent_folder,
    asked_host,
    cluster_of,
    hosts_of_kv,
    kv_port_option,
    metadata_option,
    report,
    teller,
)
from c101.tui.ctl.output import say
from c101.tui.ctl.reaching import Trust, target_of
from c101.tui.ctl.session import Options, Session, session

if TYPE_CHECKING:
    from c101.agents.install.cluster import Cluster, Member
    from c101.agents.install.cores import Cores
    from c101.agents.install.host import RemoteHost
    from c101.core.model.machine import Machine

#: Hosts worked on at once.
HOSTS_AT_ONCE = 16

_dry_option = click.option("--dry-run", is_flag=True, help="Say what would be done, do nothing.")


@click.group("machines", context_settings={"help_option_names": ["-h", "--help"]})
def machines_command() -> None:
    """Make hosts machines of the cluster, and take them out again."""


for _command in (cordon_command, uncordon_command, drain_command, rotate_host_keys_command):
    machines_command.add_command(_command)


@machines_command.command("add")
@click.argument("hosts", nargs=-1, required=True, metavar="[USER@]HOST[:PORT]...")
@click.option("--name", default="", help="What the machine is called.  [default: its host name]")
@click.option("--address", default="", help="Where the other machines reach it.")
@metadata_option
@click.option("--agent-kv", default="", metavar="URL", help="A KV that is not on one of ours.")
@click.option("--kv-address", default="", help="Where the machines reach the host of the KV.")
@kv_port_option
@click.option("--join-timeout", type=click.FloatRange(1), default=60.0, show_default=True)
@agent_dir_option
@accept_option
@_dry_option
@click.pass_obj
def add_command(
    options: Options,
    *,
    hosts: tuple[str, ...],
    name: str,
    address: str,
    metadata: str,
    agent_kv: str,
    kv_address: str,
    kv_port: int | None,
    join_timeout: float,
    agent_dir: Path | None,
    accept_new: bool,
    dry_run: bool,
) -> None:
    """Make hosts machines of the cluster; what is done already is left as it is.

    They need sshd, systemd and Python 3.11 or newer, and you to log in there by a key.
    """
    from c101.agents.install.cluster import Shipping, Wanted

    if len(hosts) > 1 and (name or address):
        raise ConfigError("--name and --address are for one host")
    wanted = Wanted(
        name=name,
        address=address,
        metadata=parse_metadata(metadata),
        kv=agent_kv,
        kv_address=kv_address,
        kv_port=kv_port,
        join_seconds=join_timeout,
        dry_run=dry_run,
    )

    async def added() -> "list[Member | C101Error]":
        trust = Trust(accept_new=accept_new)
        tell = teller(options)
        async with (
            session(options) as current,
            hosts_of_kv(current, trust, agent_kv) as cores,
            cluster_of(current, cores, tell) as cluster,
        ):
            shipping = Shipping(agent_folder(agent_dir), tell)

            async def one(host: str) -> "Member":
                async with asked_host(target_of(host, current.address.ssh), trust) as remote:
                    return await cluster.add(remote, shipping, wanted)

            return await _each(hosts, one)

    report(options, hosts, asyncio.run(added()), dry_run=dry_run)


@machines_command.command("upgrade")
@click.argument("machines", nargs=-1, metavar="[MACHINE...]")
@click.option("--join-timeout", type=click.FloatRange(1), default=60.0, show_default=True)
@agent_dir_option
@accept_option
@click.pass_obj
def upgrade_command(
    options: Options,
    *,
    machines: tuple[str, ...],
    join_timeout: float,
    agent_dir: Path | None,
    accept_new: bool,
) -> None:
    """Have machines (all, where none is named) run this version; their units run on.

    One after the other, the one with the KV last; the first that fails ends it.
    """
    from c101.agents.install.cluster import Shipping

    shipping = Shipping(agent_folder(agent_dir), teller(options))

    async def upgraded(cluster: "Cluster", remote: "RemoteHost") -> "Member":
        return await cluster.upgrade(remote, shipping, join_timeout)

    _roll(options, machines, Trust(accept_new=accept_new), upgraded)


@machines_command.command("rotate-keys")
@click.argument("machines", nargs=-1, metavar="[MACHINE...]")
@click.option("--join-timeout", type=click.FloatRange(1), default=60.0, show_default=True)
@accept_option
@click.pass_obj
def rotate_keys_command(
    options: Options, *, machines: tuple[str, ...], join_timeout: float, accept_new: bool
) -> None:
    """Give the agents of machines (all, where none is named) new keys; the old ones are shut out.

    The agent on the machine of the KV has none.
    """

    async def rotated(cluster: "Cluster", remote: "RemoteHost") -> "Member":
        return await cluster.rotate(remote, join_timeout)

    _roll(options, machines, Trust(accept_new=accept_new), rotated, with_kv=bool(machines))


@machines_command.command("remove")
@click.argument("machines", nargs=-1, required=True, metavar="MACHINE...")
@click.option("--force", is_flag=True, help="Stop units that fit nowhere else.")
@click.option("--gone", is_flag=True, help="The host is gone for good: forget it.")
@click.option("--drain-timeout", type=click.FloatRange(0), default=60.0, show_default=True)
@accept_option
@click.pass_obj
def remove_command(
    options: Options,
    *,
    machines: tuple[str, ...],
    force: bool,
    gone: bool,
    drain_timeout: float,
    accept_new: bool,
) -> None:
    """Move the units of machines elsewhere, and remove every trace of c101 from their hosts."""
    from c101.agents.install.cluster import Member
    from c101.tui.ctl.places import machine_called

    async def removed() -> "list[Member | C101Error]":
        trust = Trust(accept_new=accept_new)
        async with (
            session(options) as current,
            hosts_of_kv(current, trust) as cores,
            cluster_of(current, cores, teller(options)) as cluster,
        ):
            known = await current.registry.snapshot()

            async def one(name: str) -> "Member":
                machine = machine_called(known, name)
                _spare_the_kv(machine, cores, force=force)
                async with AsyncExitStack() as stack:
                    remote = None
                    if not gone:
                        remote = await stack.enter_async_context(_there(machine, current, trust))
                    changed = await cluster.remove(
                        remote, machine.id, drain_seconds=drain_timeout, force=force
                    )
                return Member(
                    host=remote.name if remote else machine.name,
                    machine_id=machine.id,
                    name=machine.name,
                    changed=changed,
                )

            return await _each(machines, one)

    report(options, machines, asyncio.run(removed()), dry_run=False)


def _roll(
    options: Options,
    names: tuple[str, ...],
    trust: Trust,
    work: "Callable[[Cluster, RemoteHost], Awaitable[Member]]",
    *,
    with_kv: bool = True,
) -> None:
    """Do *work* on machines, all that are there where none is named, one after the other.

    That of the KV comes last, or without *with_kv* not at all; the first that fails ends it.
    """
    from c101.agents.ssh.endpoints import machine_target
    from c101.tui.ctl.places import is_lost, machine_called

    async def rolled() -> "dict[str, Member | C101Error]":
        done: dict[str, Member | C101Error] = {}
        async with (
            session(options) as current,
            hosts_of_kv(current, trust) as cores,
            cluster_of(current, cores, teller(options)) as cluster,
        ):
            known = await current.registry.snapshot()
            chosen = [machine_called(known, name) for name in names] or known.machines.values()
            for machine in sorted(chosen, key=lambda one: (cores.has(one.id), one.name)):
                if not names and is_lost(machine):
                    say(f"{machine.name} is lost, and left as it is")
                    continue
                if not (with_kv or cores.others(machine.id)):
                    continue
                try:
                    target = machine_target(machine, current.address.ssh)
                    async with asked_host(target, trust) as remote:
                        done[machine.name] = await work(cluster, remote)
                except C101Error as error:
                    done[machine.name] = error
                    break
        return done

    done = asyncio.run(rolled())
    report(options, tuple(done), list(done.values()), dry_run=False)


@asynccontextmanager
async def _there(machine: "Machine", current: Session, trust: Trust) -> "AsyncIterator[RemoteHost]":
    """Hold the host of *machine*. Raises LinkError, with what to do if it is gone."""
    from c101.agents.ssh.endpoints import machine_target

    try:
        async with asked_host(machine_target(machine, current.address.ssh), trust) as remote:
            yield remote
    except LinkError as error:
        error.hint = error.hint or "--gone forgets a machine that will not come back"
        raise


def _spare_the_kv(machine: "Machine", cores: "Cores", *, force: bool) -> None:
    """Raise ConfigError for a machine of the KV, unless *force* is set."""
    if not cores.has(machine.id) or force:
        return
    if cores.others(machine.id):
        raise ConfigError(
            f"{machine.name} runs the KV with others: without it none of these may fail",
            hint="--force removes it; docs/etcd.md says how another takes its place",
        )
    raise ConfigError(
        f"{machine.name} runs the KV: without it the cluster ends", hint="--force ends it"
    )


async def _each(
    names: tuple[str, ...], work: "Callable[[str], Awaitable[Member]]"
) -> "list[Member | C101Error]":
    """Do *work* for each of *names*, some at once; one that fails does not keep others from it."""
    gate = asyncio.Semaphore(HOSTS_AT_ONCE)

    async def one(name: str) -> "Member | C101Error":
        async with gate:
            try:
                return await work(name)
            except C101Error as error:
                return error

    return list(await asyncio.gather(*map(one, dict.fromkeys(names))))
