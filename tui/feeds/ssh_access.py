"""A cluster as the console reaches it: the KV by its endpoints, every machine over SSH.

Where the KV is reached over SSH too there is one connection to its host, one to each machine, and
nothing else.

Importing this loads the KV's client and protobuf: do it after the first paint, in a thread.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping

from c101.agents.client.agent_client import AgentClient
from c101.agents.ssh.dial import SshLink, SshTarget
from c101.agents.ssh.endpoints import AGENT_COMMAND, KV_COMMAND, kv_link, machine_target, target
from c101.core.clock import Clock
from c101.core.config import ClusterAddress
from c101.core.errors import LinkLostError, NotFoundError
from c101.core.etcd.client import Client
from c101.core.model.host import JournalBatch, MachineUsage
from c101.core.model.machine import Machine
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.mirror import Mirror
from c101.core.registry.registry import Registry
from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import Dialer, TlsOptions, dialer_for, split_urls
from c101.tui.feeds.access import ClusterUpdate, KeysUpdate, Say
from c101.tui.feeds.ssh_verbs import Power, SshVerbs

#: Every key there is, for etcd: from the lowest to beyond the highest.
ALL_KEYS = (b"\0", b"\0")

#: Keys a page of the first picture.
PAGE_KEYS = 1_000

#: Seconds between two samples of a machine's usage.
USAGE_PERIOD_SECONDS = 2.0

#: Lines of each machine's past that are shown at the start.
JOURNAL_LINES = 200

#: A link that was silent so long while streams are open is probed.
KEEPALIVE_SECONDS = 5.0


class SshAccess:
    """``ClusterAccess`` over links that are dialled when they are first needed."""

    def __init__(
        self, address: ClusterAddress, clock: Clock, *, power: Power | None = None
    ) -> None:
        self.name = address.name
        self.application = ""
        self.address = ""
        self.can_power = power is not None
        self.ends_at_quit = False
        self._address = address
        self._clock = clock
        dialers, self._kv_links = _kv_dialers(address, clock)
        self._kv_names = ", ".join(dialer.name for dialer in dialers)
        self._client = Client(dialers, clock=clock)
        self._keyspace = Keyspace()
        self.registry = Registry(self._client, self._keyspace, clock)
        self._hosts: dict[str, _Host] = {}
        self._machines: Mapping[str, Machine] = {}
        self.verbs = SshVerbs(self._client, self.registry, self._agent, power)

    async def open(self, say: Say) -> None:
        """Say what is being done: the streams connect by themselves, and again when lost."""
        say(f"connecting to {self._kv_names}…")

    async def close(self) -> None:
        """End every stream and connection."""
        await self._client.close()
        await asyncio.gather(*(host.close() for host in self._hosts.values()))
        await asyncio.gather(*(link.close() for link in self._kv_links))

    async def cluster(self) -> AsyncGenerator[ClusterUpdate, None]:
        """Yield the cluster's state, at once and after every change.

        The mirror reconnects by itself; meanwhile what was last known is yielded, as unconnected.
        """
        mirror = Mirror(self._client, self._keyspace, self._clock)
        changed = asyncio.Event()
        unsubscribe = mirror.subscribe(changed.set)
        running = asyncio.create_task(mirror.run(), name="mirror")
        try:
            while True:
                waiting = asyncio.create_task(changed.wait())
                done, _ = await asyncio.wait(
                    {running, waiting}, return_when=asyncio.FIRST_COMPLETED
                )
                waiting.cancel()
                if running in done:
                    running.result()
                    raise LinkLostError("the mirror of the cluster ended")
                changed.clear()
                if mirror.synced:
                    self._machines = mirror.state.machines
                    yield ClusterUpdate(
                        cluster=mirror.state,
                        connected=mirror.connected,
                        problem=str(mirror.problem or ""),
                    )
                elif mirror.problem is not None:
                    raise mirror.problem
        finally:
            unsubscribe()
            running.cancel()
            await asyncio.wait({running})

    async def keys(self) -> AsyncGenerator[KeysUpdate, None]:
        """Yield every key, page by page at one revision, then every change."""
        start, end = ALL_KEYS
        page = await self._client.get_range(start, end, limit=PAGE_KEYS)
        revision = page.revision
        yield KeysUpdate(put=page.kvs, revision=revision, snapshot=True, complete=not page.more)
        while page.more:
            after = page.kvs[-1].key + b"\0"
            page = await self._client.get_range(after, end, limit=PAGE_KEYS, revision=revision)
            yield KeysUpdate(put=page.kvs, revision=revision, complete=not page.more)
        watch = self._client.watch(start, range_end=end, start_revision=revision + 1)
        async with watch:
            async for batch in watch:
                # Of several changes of one key the last one counts.
                last = {event.kv.key: event for event in batch.events}
                yield KeysUpdate(
                    put=[event.kv for event in last.values() if event.kind == "put"],
                    deleted=[key for key, event in last.items() if event.kind == "delete"],
                    revision=batch.revision,
                )

    async def usage(self, machine_id: str) -> AsyncGenerator[MachineUsage, None]:
        """Yield how one machine fares."""
        agent = self._agent(machine_id)
        async with agent.usage(period_seconds=USAGE_PERIOD_SECONDS) as samples:
            async for sample in samples:
                yield sample
        raise LinkLostError("the agent ended the stream")

    async def journal(
        self, machine_id: str, after_cursor: str
    ) -> AsyncGenerator[JournalBatch, None]:
        """Yield one machine's latest lines, or those after a cursor, then new ones."""
        lines = 0 if after_cursor else JOURNAL_LINES
        agent = self._agent(machine_id)
        async with agent.journal(after_cursor=after_cursor, lines=lines, follow=True) as batches:
            async for batch in batches:
                yield batch
        raise LinkLostError("the agent ended the stream")

    def reaches(self, machine_id: str) -> bool:
        """Say whether an SSH address of the machine is known."""
        return self._target(machine_id) is not None

    def round_trip(self, machine_id: str = "") -> float | None:
        """Return the last known round trip in seconds, to a machine or to the KV.

        Of a KV that is not reached over SSH none is known.
        """
        if not machine_id:
            known = [link.rtt_seconds for link in self._kv_links]
            return min((trip for trip in known if trip is not None), default=None)
        host = self._hosts.get(machine_id)
        return host.link.rtt_seconds if host is not None else None

    def _agent(self, machine_id: str) -> AgentClient:
        host = self._hosts.get(machine_id)
        if host is None:
            at = self._target(machine_id)
            if at is None:
                raise NotFoundError(f"no SSH address of machine {machine_id[:8]} is known")
            host = self._hosts[machine_id] = _Host(machine_id, SshLink(at, self._clock))
        return host.agent

    def _target(self, machine_id: str) -> SshTarget | None:
        ssh, local = self._address.ssh, self._address.local
        for entry in local.machines if local is not None else ():
            if entry.id == machine_id:
                return target(ssh, entry.ssh_host, entry.ssh_port)
        machine = self._machines.get(machine_id)
        if machine is None or machine.record is None or not machine.record.addresses:
            return None
        return machine_target(machine, ssh)


class _Host:
    """A machine's link, with the agent at its end."""

    def __init__(self, machine_id: str, link: SshLink) -> None:
        self.link = link
        self._channel = Channel(link.dialer(AGENT_COMMAND), keepalive_seconds=KEEPALIVE_SECONDS)
        self.agent = AgentClient(self._channel, machine_id=machine_id)

    async def close(self) -> None:
        """End the streams, then the connection."""
        await self._channel.close()
        await self.link.close()


def _kv_dialers(address: ClusterAddress, clock: Clock) -> tuple[list[Dialer], list[SshLink]]:
    """Return the ways to the KV's endpoints, and the links that some of them go by.

    Raises:
        ConfigError: one is no endpoint.
    """
    if address.local is not None and address.local.kv.ssh is not None:
        # As on real machines: nothing but SSH, though the socket is on this computer.
        gateway = address.local.kv.ssh
        link = SshLink(target(address.ssh, gateway.host, gateway.port), clock)
        return [link.dialer(KV_COMMAND)], [link]
    dialers: list[Dialer] = []
    links: list[SshLink] = []
    for url in split_urls(address.kv):
        if url.startswith("ssh://"):
            link, command = kv_link(url, address.ssh, clock)
            links.append(link)
            dialers.append(link.dialer(command))
        else:
            dialers.append(dialer_for(url, TlsOptions.of(address.tls)))
    return dialers, links
