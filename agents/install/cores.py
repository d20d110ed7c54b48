"""The hosts of the KV: by which endpoints the agent of a machine reaches it, and who lets it in."""

import asyncio
import ipaddress
from collections.abc import Callable, Sequence

from c101.agents.host.setup.spec import Admission
from c101.agents.install.host import RemoteHost
from c101.agents.ssh.known_hosts import known_hosts_line
from c101.agents.ssh.public_key import parse_public_key
from c101.core.errors import ConfigError, LinkError


class Cores:
    """One host with a KV of ours, or those of an etcd; none where the KV is not on hosts of ours.

    *missing* are those that cannot be reached at the moment.
    """

    def __init__(self, hosts: Sequence[RemoteHost] = (), missing: Sequence[str] = ()) -> None:
        self.hosts = tuple(hosts)
        self.missing = tuple(missing)
        # authorized_keys on a host is read and written as a whole.
        self._admitting = asyncio.Lock()

    def has(self, machine_id: str) -> bool:
        """Say whether the KV runs on that machine."""
        return any(one.facts.machine_id == machine_id for one in self.hosts)

    def others(self, machine_id: str) -> list[RemoteHost]:
        """Return those that the machine's agent logs in to: all but its own."""
        return [one for one in self.hosts if one.facts.machine_id != machine_id]

    async def let_in(self, machine_id: str, *keys: str) -> tuple[str, ...]:
        """Let in a machine's agent by *keys* and no others, at every host but its own.

        Raises LinkError: one of them is missing.
        """
        if self.missing:
            raise LinkError(
                f"{', '.join(self.missing)} cannot be reached, and has to let in the agent, too",
                hint="run this again when every host of the KV is there",
            )
        return await self.shut_out(machine_id, *keys)

    async def shut_out(self, machine_id: str, *keys: str) -> tuple[str, ...]:
        """Let in a machine's agent by *keys* alone, where that can be said."""
        admission = Admission(machine_id=machine_id, keys=keys)
        changed: tuple[str, ...] = ()
        async with self._admitting:
            for core in self.others(machine_id):
                outcome = await core.setup("admit", admission)
                changed += tuple(f"{core.name}: {one}" for one in outcome.changed)
        return changed

    def access(
        self, machine_id: str, recorded: Callable[[str], str], address: str = ""
    ) -> tuple[str, tuple[str, ...]]:
        """Return by which endpoints a machine reaches the KV, and the host keys it needs for that.

        *recorded* gives the address of a machine by its id, or ""; *address* is that of the only
        host, if it is another one. Raises ConfigError: others do not reach a host.
        """
        if not self.hosts:
            raise ConfigError(
                "the host of the KV is not known",
                hint="--kv ssh://USER@HOST names it; --agent-kv URL names another way for agents",
            )
        endpoints: list[str] = []
        lines: list[str] = []
        for core in _in_turn(self.hosts, machine_id):
            facts = core.facts
            if facts.machine_id == machine_id:
                endpoints.append(f"unix:///run/c101/kv-agent-{machine_id}.sock")
                continue
            where = address or recorded(facts.machine_id) or facts.address
            if not where or _is_loopback(where):
                raise ConfigError(
                    f"others cannot reach the KV at {where or 'no address'}",
                    hint="--kv-address ADDRESS says where they can",
                )
            shown = f"[{where}]" if ":" in where else where
            endpoints.append(f"ssh://c101@{shown}:{facts.port}/kv-agent-{machine_id}")
            keys = map(parse_public_key, facts.trusted_keys())
            lines += [known_hosts_line(where, facts.port, key) for key in keys]
        return ",".join(endpoints), tuple(lines)


def _in_turn(hosts: Sequence[RemoteHost], machine_id: str) -> list[RemoteHost]:
    """Return *hosts*, the machine's own first; other machines begin with one each, in turn."""
    own = [one for one in hosts if one.facts.machine_id == machine_id]
    others = [one for one in hosts if one.facts.machine_id != machine_id]
    first = sum(machine_id.encode()) % len(others) if others else 0
    return [*own, *others[first:], *others[:first]]


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
