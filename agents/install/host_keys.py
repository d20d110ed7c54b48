"""New host keys for a machine, and everybody who logs in to it told before they are used.

::

    made        beside those that sshd has
    announced   in the machine's record, and to the agents that know the host: both are trusted
    used        sshd takes the new ones; a connection by them alone is made
    settled     the old ones are trusted no more

A run that was cut off is run again: keys that were made are used, and what is told twice is told
once.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from c101.agents.host.setup.spec import Trusted
from c101.agents.install.host import RemoteHost
from c101.agents.ssh.public_key import parse_public_key
from c101.core.model.machine import MachineRecord
from c101.core.registry.registry import Registry


async def change_host_keys(
    host: RemoteHost,
    record: MachineRecord,
    registry: Registry,
    agents: Sequence[RemoteHost],
    reach: Callable[[tuple[str, ...]], Awaitable[None]],
) -> tuple[tuple[str, ...], Trusted]:
    """Give *host* new host keys; return what was changed, and how who knows it has to know it.

    *agents* are the hosts of all agents; *reach* connects by certain host keys alone. Raises
    C101Error: the old and the new keys are trusted then, and this may be run again.
    """
    made = (await host.setup("new-host-keys")).keys
    trusted = Trusted(
        before=host.facts.trusted_keys(),
        after=tuple(parse_public_key(key).line for key in made),
        alone=False,
    )

    async def announce(trusted: Trusted) -> None:
        keys = trusted.after if trusted.alone else (*trusted.before, *trusted.after)
        await registry.put_machine_record(replace(record, host_keys=keys))
        for agent in agents:
            await agent.setup("trust", trusted)

    await announce(trusted)
    changed = (await host.setup("use-host-keys")).changed
    await reach(trusted.after)
    settled = replace(trusted, alone=True)
    await announce(settled)
    return changed, settled
