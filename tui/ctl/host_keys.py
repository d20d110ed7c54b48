"""``machines rotate-host-keys``: new host keys for machines, without anybody being shut out."""

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from c101.core.errors import ConfigError
from c101.tui.ctl.hosts import accept_option
from c101.tui.ctl.membership import asked_host, report
from c101.tui.ctl.reaching import Trust
from c101.tui.ctl.session import Options, session

if TYPE_CHECKING:
    from c101.agents.install.cluster import Member
    from c101.agents.install.host import RemoteHost


@click.command("rotate-host-keys")
@click.argument("machines", nargs=-1, required=True, metavar="MACHINE...")
@accept_option
@click.pass_obj
def rotate_host_keys_command(
    options: Options, *, machines: tuple[str, ...], accept_new: bool
) -> None:
    """Give machines new host keys, after everybody who logs in there was told of them.

    That is the cluster's record, every agent, and c101's known_hosts here; what is in
    ~/.ssh/known_hosts stays as it is.
    """
    from c101.agents.install.cluster import Member
    from c101.agents.install.host_keys import change_host_keys
    from c101.agents.ssh.endpoints import machine_target
    from c101.agents.ssh.trust import replace_keys
    from c101.core.config import known_hosts_path
    from c101.tui.ctl.places import is_lost, machine_called

    trust = Trust(accept_new=accept_new)

    async def rotated() -> "list[Member]":
        done = []
        async with AsyncExitStack() as stack:
            current = await stack.enter_async_context(session(options))
            known = await current.registry.snapshot()
            chosen = [machine_called(known, name) for name in machines]
            ssh = current.address.ssh
            if lost := [one.name for one in known.machines.values() if is_lost(one)]:
                raise ConfigError(
                    f"{', '.join(lost)} cannot be told of new host keys, being lost",
                    hint="machines remove --gone forgets one that will not come back",
                )
            hosts = {}
            for machine in known.machines.values():
                target = machine_target(machine, ssh)
                hosts[machine.id] = await stack.enter_async_context(asked_host(target, trust))
            for machine in chosen:
                host, record = hosts[machine.id], machine.record
                assert record is not None, "machine_target has used it"

                async def reach(keys: tuple[str, ...], host: "RemoteHost" = host) -> None:
                    target = replace(host.link.target, host_keys=keys)
                    async with asked_host(target, trust):
                        pass

                changed, keys = await change_host_keys(
                    host, record, current.registry, list(hosts.values()), reach
                )
                path = known_hosts_path(os.environ)
                await asyncio.to_thread(replace_keys, path, keys.before, keys.after)
                done.append(
                    Member(
                        host=host.name, machine_id=machine.id, name=machine.name, changed=changed
                    )
                )
        return done

    report(options, machines, list(asyncio.run(rotated())), dry_run=False)
