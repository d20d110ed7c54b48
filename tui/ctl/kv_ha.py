"""``kv ha``: from the KV on one machine to an etcd on three."""

import asyncio
import ipaddress
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click
import msgspec

from c101.core.errors import C101Error, ConfigError, DeadlineExceededError, LinkError
from c101.tui.ctl.hosts import accept_option
from c101.tui.ctl.membership import (
    agent_dir_option,
    agent_folder,
    asked_host,
    hosts_of_kv,
    teller,
    write_down,
)
from c101.tui.ctl.output import print_json, print_lines, say
from c101.tui.ctl.places import is_lost, machine_called
from c101.tui.ctl.reaching import Trust
from c101.tui.ctl.session import Options, Session, session

if TYPE_CHECKING:
    from pathlib import Path

    from c101.agents.install.cores import Cores
    from c101.agents.install.high_availability import HighAvailability, Moved
    from c101.agents.install.host import RemoteHost
    from c101.core.model.cluster import ClusterState
    from c101.core.model.machine import Machine

#: What an engine reads under the guard's key as: what is seen is true.
ACCEPT = "accept"
#: From the end of its agent to its joining again.
JOIN_SECONDS_MAX = 90.0


@click.command("ha")
@click.argument("names", nargs=-1, required=True, metavar="MACHINE MACHINE MACHINE")
@click.option("--check", "only_check", is_flag=True, help="Say what is in the way, do nothing.")
@agent_dir_option
@accept_option
@click.pass_obj
def ha_command(
    options: Options,
    *,
    names: tuple[str, ...],
    only_check: bool,
    agent_dir: "Path | None",
    accept_new: bool,
) -> int:
    """Take the cluster from the KV on one machine to an etcd on three: no unit stops.

    Debian's etcd is installed on the machines, with certificates, and gets the KV's data with their
    revisions; agents and engine use it from then on. While it lasts, some ten seconds, nothing is
    decided. What fails on the way goes back. Run again, it goes on where it stood.
    """
    if len(set(names)) != len(names) or len(names) < 3 or len(names) % 2 == 0:
        raise ConfigError(
            "an etcd has three members, or five", hint="name that many machines of the cluster"
        )
    folder = agent_folder(agent_dir)
    return asyncio.run(
        _ha(options, names, Trust(accept_new=accept_new), folder, only_check=only_check)
    )


async def _ha(
    options: Options,
    names: Sequence[str],
    trust: Trust,
    folder: "Path | None",
    *,
    only_check: bool,
) -> int:
    from c101.agents.ssh.endpoints import kv_endpoint

    async with _scene(options, trust) as scene:
        current = scene.current
        etcd = _etcd_on(scene, [machine_called(scene.known, name) for name in names])
        urls = ",".join(kv_endpoint(seat.host.link.target) for seat in etcd.seats)
        at_it = replace(options, kv=urls, ssh=current.address.ssh)
        moved = await _moved_before(current)
        wrong = [] if moved else await _wrong(scene, etcd, folder)
        if only_check or wrong:
            _print_check(options, wrong, moved)
            return 1 if wrong else 0

        async def record(moved: "Moved") -> None:
            async with session(at_it) as there:
                await there.client.put(there.keyspace.kv_moved, msgspec.json.encode(moved))

        await asyncio.to_thread(_know, etcd)
        if moved is None:
            (core,) = scene.cores.hosts
            before = (await current.client.status()).cluster_id
            await etcd.prepare(current.address.name)
            moved = await etcd.switch(core, before, record)
        where = write_down(current.address.name, urls, instead=True)
        told = await etcd.move(scene.hosts, moved, scene.addresses())
        async with session(at_it) as there:
            await _joined(there, scene, told)
            # It is another cluster id, and that is right.
            await there.client.put(there.keyspace.engine_guard, ACCEPT)
        await etcd.decide()
    _report(options, etcd, urls, where, scene.lost)
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """All that is there: machines, and the hosts of those that are reached, by name."""

    current: Session
    cores: "Cores"
    known: "ClusterState"
    hosts: "Mapping[str, RemoteHost]"
    lost: Sequence[str]

    def addresses(self) -> dict[str, str]:
        """Return where each machine is reached, by its id."""
        return {
            one.id: one.record.addresses[0]
            for one in self.known.machines.values()
            if one.record and one.record.addresses
        }


@asynccontextmanager
async def _scene(options: Options, trust: Trust) -> AsyncIterator[_Scene]:
    from c101.agents.ssh.endpoints import machine_target

    async with AsyncExitStack() as stack:
        current = await stack.enter_async_context(session(options))
        cores = await stack.enter_async_context(hosts_of_kv(current, trust))
        if not cores.hosts:
            raise ConfigError(
                "the host of the KV is not known", hint="--kv ssh://USER@HOST/kv-admin names it"
            )
        known = await current.registry.snapshot()
        hosts: dict[str, RemoteHost] = {}
        lost = []
        for machine in sorted(known.machines.values(), key=lambda one: one.name):
            try:
                target = machine_target(machine, current.address.ssh)
                hosts[machine.name] = await stack.enter_async_context(asked_host(target, trust))
            except LinkError:
                if not is_lost(machine):
                    raise
                lost.append(machine.name)
        yield _Scene(current=current, cores=cores, known=known, hosts=hosts, lost=lost)


def _etcd_on(scene: _Scene, machines: "Sequence[Machine]") -> "HighAvailability":
    """Return the etcd that is to be on *machines*. Raises ConfigError: one cannot be used."""
    from c101.agents.install.high_availability import HighAvailability, Seat

    seats = []
    for machine in machines:
        if machine.name not in scene.hosts:
            raise ConfigError(f"{machine.name} is lost", hint="c101ctl list-machines")
        host = scene.hosts[machine.name]
        recorded = scene.addresses().get(machine.id, "")
        address = recorded if _is_address(recorded) else host.facts.address
        if not _is_address(address):
            raise ConfigError(f"{machine.name} has no IP address that others reach")
        seats.append(Seat(name=machine.name, address=address, host=host))
    return HighAvailability(seats, teller(scene.current.options), scene.current.clock)


def _know(etcd: "HighAvailability") -> None:
    """Have the hosts of the KV be known by the names that its endpoints have.

    Their keys were compared with those of the machines' records.
    """
    from c101.agents.ssh.public_key import parse_public_key
    from c101.agents.ssh.trust import name_of, remember
    from c101.core.config import known_hosts_path

    for seat in etcd.seats:
        target = seat.host.link.target
        for key in target.host_keys:
            name = name_of(target.host, target.port)
            remember(known_hosts_path(os.environ), name, parse_public_key(key))


async def _moved_before(current: Session) -> "Moved | None":
    """Return the move by which the cluster came to this KV; ``None`` if it did not move."""
    from c101.agents.install.high_availability import Moved

    found = await current.client.get(current.keyspace.kv_moved)
    if found is None:
        return None
    moved = msgspec.json.decode(found.value, type=Moved)
    here = (await current.client.status()).cluster_id
    return moved if moved.after == here else None


async def _wrong(scene: _Scene, etcd: "HighAvailability", folder: "Path | None") -> list[str]:
    """Return what is in the way, in words; nothing is changed."""
    from c101.agents.install.cluster import Shipping

    if len(scene.cores.hosts) != 1 or scene.cores.missing:
        return ["the KV is not the one of c101 on a single host"]
    shipping = Shipping(folder, teller(scene.current.options))
    found = []
    for name, host in (*scene.hosts.items(), ("the host of the KV", *scene.cores.hosts)):
        wanted = (await shipping.bundle(host.facts.target)).id
        if host.facts.installed != wanted:
            found.append(f"{name} has another version: c101ctl machines upgrade")
    if found:
        return found
    status = await scene.current.client.status()
    return await etcd.wrong(status.db_size)


async def _joined(there: Session, scene: _Scene, told: "Mapping[str, bool | C101Error]") -> None:
    """Wait until every agent is heard of by the etcd. Raises C101Error: one is not."""
    from c101.agents.install.host import SetupError
    from c101.tui.ctl.waiting import mirrored

    for name, outcome in told.items():
        if isinstance(outcome, C101Error):
            hint = "the engines wait for it: run this again when that is mended"
            raise SetupError(f"{name}: {outcome}", hint=hint) from outcome

    def absent(state: "ClusterState") -> list[str]:
        missing = []
        for name, anew in told.items():
            machine_id = scene.hosts[name].facts.machine_id
            now, before = state.machines.get(machine_id), scene.known.machines.get(machine_id)
            since = before.presence.since if before and before.presence else None
            if not (now and now.presence) or (anew and now.presence.since == since):
                missing.append(name)
        return missing

    async with mirrored(there) as mirror:
        try:
            async with asyncio.timeout(JOIN_SECONDS_MAX):
                while absent(mirror.state):
                    await mirror.next_change(mirror.state.revision)
        except TimeoutError:
            names = ", ".join(absent(mirror.state))
            raise DeadlineExceededError(
                f"no word of the agents of {names} within {JOIN_SECONDS_MAX:g} s",
                hint="journalctl -u c101-agent there says more; the engines wait: run this again",
            ) from None


def _is_address(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def _print_check(options: Options, wrong: list[str], moved: "Moved | None") -> None:
    if options.json:
        print_json({"ok": not wrong, "wrong": wrong})
    elif wrong:
        print_lines(wrong)
    elif moved:
        print_lines(["the KV is an etcd already; without --check what is unfinished is finished"])
    else:
        print_lines(["nothing is in the way"])


def _report(
    options: Options, etcd: "HighAvailability", urls: str, where: str, lost: Sequence[str]
) -> None:
    members = [seat.name for seat in etcd.seats]
    if options.json:
        print_json({"kv": urls, "members": members, "lost": list(lost)})
        return
    say(f"the KV is an etcd on {', '.join(members)}: any one of them may fail")
    say(where or f"  it is reached by --kv {urls}")
    for name in lost:
        say(f"  {name} was lost, and not told: run this again when it is back")
