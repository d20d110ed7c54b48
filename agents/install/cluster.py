"""The order of steps in which a host becomes the first machine, a member, and none any more.

Every step is done only where it is not done yet, so a run that was cut off is simply run again::

    init      ship · setup core · (then as add)
    add       ship · setup key · admit on the KV's host · record in the KV · setup agent · joined
    upgrade   ship · setup upgrade · joined, one machine after the other, the KV's host last
    rotate    a new key beside the old one · setup use-key · joined · the old one shut out
    remove    drain · setup remove · shut out by the KV's host · forget in the KV

A machine is let in before its agent runs, and its record, which only an admin may write, pins the
host keys that this connection was verified by.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from c101.agents.host.service_unit import NAME
from c101.agents.host.setup.spec import AgentSpec, CoreSpec, Outcome
from c101.agents.install import probe
from c101.agents.install.bundle import Bundle, bundle_for
from c101.agents.install.cores import Cores
from c101.agents.install.host import RemoteHost
from c101.agents.install.target import Target
from c101.core.clock import Clock
from c101.core.errors import ConfigError, ConflictError, DeadlineExceededError, NotFoundError
from c101.core.model.cluster import ClusterState
from c101.core.model.machine import MachineIntent, MachineRecord
from c101.core.registry.mirror import Mirror
from c101.core.registry.registry import Registry

#: Told of a host's progress: its name, and how far it is.
Tell = Callable[[str, str], None]
_LOG_LINES = 5
_COPIED = (
    "is it a copy of that machine? rm /etc/machine-id && systemd-machine-id-setup "
    "gives it an id of its own"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a host is to be called, and where it and the KV are reached by others.

    Empty: as the host calls itself, as this program reached it, as this program reached the KV.
    Metadata that is not given stays what it was. ``kv`` are the endpoints of a KV that is not one
    of ours. ``kv_port`` as in ``AgentSpec``. With ``dry_run`` nothing is changed.
    """

    name: str = ""
    address: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    kv: str = ""
    kv_address: str = ""
    kv_port: int | None = None
    lease_ttl_seconds: int = 6
    join_seconds: float = 60.0
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A host that is a machine of the cluster, and what was done for it."""

    host: str
    machine_id: str
    name: str
    changed: tuple[str, ...] = ()


class Shipping:
    """The agent's files, each made or read once, for however many hosts."""

    def __init__(self, folder: Path | None, tell: Tell) -> None:
        self._folder = folder
        self._tell = tell
        self._bundles: dict[Target, asyncio.Task[Bundle]] = {}

    async def bundle(self, target: Target) -> Bundle:
        """Return the file for *target*. Raises ConfigError."""
        if target not in self._bundles:
            making = asyncio.to_thread(bundle_for, target, self._folder)
            self._bundles[target] = asyncio.create_task(making, name=f"agent for {target}")
        return await asyncio.shield(self._bundles[target])

    async def ship(self, host: RemoteHost) -> tuple[str, ...]:
        """Have the host's programs be those of this version; return what was done."""
        bundle = await self.bundle(host.facts.target)
        size = len(bundle.data)
        shown = 0

        def sent(count: int) -> None:
            nonlocal shown
            percent = 100 * count // size
            if percent >= shown + 25 or count == size:
                shown = percent
                self._tell(host.name, f"sending the agent, {size / 1e6:.0f} MB: {percent} %")

        shipped = await host.ship(bundle, sent)
        return (f"installed {bundle.id}",) if shipped else ()


async def make_core(
    host: RemoteHost, shipping: Shipping, listen: Sequence[str], tell: Tell
) -> tuple[str, ...]:
    """Have the KV and the engine run on *host*; return what was done.

    *listen* are URLs that the KV serves besides its sockets.
    """
    shipped = await shipping.ship(host)
    tell(host.name, "starting the KV and the engine")
    admin = "" if host.facts.root else host.facts.user
    outcome = await host.setup("core", CoreSpec(listen=tuple(listen), admin=admin))
    return (*shipped, *outcome.changed)


class Cluster:
    """A cluster whose KV is reached; *cores* are the hosts it runs on, where they are ours."""

    def __init__(
        self,
        registry: Registry,
        mirror: Mirror,
        clock: Clock,
        *,
        cores: Cores,
        tell: Tell,
    ) -> None:
        self._registry = registry
        self._mirror = mirror
        self._clock = clock
        self._cores = cores
        self._tell = tell
        #: whom this run makes machines: the host that has a name, or an id
        self._claimed: dict[str, str] = {}

    async def add(self, host: RemoteHost, shipping: Shipping, wanted: Wanted) -> Member:
        """Have *host* be a machine of the cluster, joined.

        Raises C101Error: it is unfit, cannot be reached, is somebody else's, or does not join.
        """
        facts = host.facts
        probe.check(facts, host.name)
        record = self._record(host, wanted)
        kv, known_hosts = self._access(host, wanted)
        member = Member(host=host.name, machine_id=record.id, name=record.name)
        if wanted.dry_run:
            bundle = await shipping.bundle(facts.target)
            return replace(member, changed=self._plan(host, bundle, record, kv))
        changed = await shipping.ship(host)
        changed += await self._admit(host, wanted)
        changed += await self._write(record)
        began = self._since(record.id)
        self._tell(host.name, "starting the agent")
        spec = AgentSpec(
            kv=kv,
            name=record.name,
            address=record.addresses[0],
            metadata=record.metadata,
            known_hosts=known_hosts,
            lease_ttl_seconds=wanted.lease_ttl_seconds,
            admin="" if facts.root else facts.user,
            kv_port=wanted.kv_port,
        )
        outcome = await host.setup("agent", spec)
        changed += outcome.changed
        await self._joined(host, record, _before(outcome, began), wanted.join_seconds)
        self._tell(host.name, f"joined as {record.name}")
        return replace(member, changed=changed)

    async def upgrade(self, host: RemoteHost, shipping: Shipping, seconds: float) -> Member:
        """Have a machine run this version; its units run on.

        Raises C101Error: it is no machine of the cluster, or does not join within *seconds*.
        """
        known = self._mirror.state.machines.get(host.facts.machine_id)
        if known is None or known.record is None:
            raise NotFoundError(f"{host.name} is no machine of this cluster")
        changed = await shipping.ship(host)
        began = self._since(known.id)
        outcome = await host.setup("upgrade", None)
        if outcome.changed:
            self._tell(host.name, "starting what was installed")
        await self._joined(host, known.record, _before(outcome, began), seconds)
        return Member(
            host=host.name,
            machine_id=known.id,
            name=known.name,
            changed=(*changed, *outcome.changed),
        )

    async def rotate(self, host: RemoteHost, seconds: float) -> Member:
        """Have a machine's agent log in with a new key, and shut out the one it had.

        Raises C101Error: it has none, or does not join within *seconds*, and then both are let in.
        """
        machine_id = host.facts.machine_id
        known = self._mirror.state.machines.get(machine_id)
        if known is None or known.record is None:
            raise NotFoundError(f"{host.name} is no machine of this cluster")
        if not self._cores.others(machine_id):
            raise ConfigError(f"the agent of {known.name} has no key: the KV is on its machine")
        old = (await host.setup("key", None)).key
        new = (await host.setup("new-key", None)).key
        changed = await self._cores.let_in(machine_id, old, new)
        began = self._since(machine_id)
        outcome = await host.setup("use-key", None)
        await self._joined(host, known.record, began, seconds)
        changed += (*outcome.changed, *await self._cores.let_in(machine_id, new))
        return Member(host=host.name, machine_id=machine_id, name=known.name, changed=changed)

    async def remove(
        self, host: RemoteHost | None, machine_id: str, *, drain_seconds: float, force: bool
    ) -> tuple[str, ...]:
        """Have a machine be none any more, and nothing of ours on its *host*.

        Without *host*, which is gone, it is only forgotten. Raises DeadlineExceededError: its units
        find no other place in *drain_seconds*, unless *force* is set.
        """
        changed: tuple[str, ...] = ()
        known = self._mirror.state.machines.get(machine_id)
        if known is not None:
            before = known.intent or MachineIntent(id=machine_id)
            await self._registry.set_intent(replace(before, draining=True))
            try:
                await self._drained(machine_id, drain_seconds, force=force)
            except DeadlineExceededError:
                # It stays: as it was, not as one that is left for ever.
                await self._registry.set_intent(before)
                raise
        if host is not None and (host.facts.has_agent or host.facts.installed):
            self._tell(host.name, "stopping the agent and its units")
            changed += (await host.setup("remove", None)).changed
        changed += await self._cores.shut_out(machine_id)
        if host is None or not self._cores.has(machine_id) or self._cores.others(machine_id):
            await self._registry.forget_machine(machine_id)
            changed += (f"forgot machine {machine_id}",)
        return changed

    # ---- parts ----

    def _record(self, host: RemoteHost, wanted: Wanted) -> MachineRecord:
        """Return the record that *host* is to have. Raises ConflictError, ConfigError."""
        facts, target = host.facts, host.link.target
        known = self._mirror.state.machines.get(facts.machine_id)
        keys = facts.trusted_keys()
        old = known.record if known is not None else None
        if old is not None and old.host_keys and not set(old.host_keys) & set(keys):
            raise ConflictError(
                f"{host.name} has the machine id of {old.name}, and other host keys", hint=_COPIED
            )
        name = wanted.name or (old.name if old is not None else facts.hostname.partition(".")[0])
        for other in self._mirror.state.machines.values():
            if other.name == name and other.id != facts.machine_id:
                raise ConflictError(f"another machine is called {name}", hint="--name NAME")
        self._claim(host.name, facts.machine_id, _COPIED)
        self._claim(host.name, name, "--name NAME, one host at a time")
        address = wanted.address or facts.address or target.host
        now = self._clock.time()
        return MachineRecord(
            id=facts.machine_id,
            name=name,
            addresses=(address,),
            ssh_user=facts.user,
            ssh_port=facts.port,
            host_keys=keys,
            metadata=dict(wanted.metadata or (old.metadata if old is not None else {})),
            added=old.added if old is not None else now,
            last_seen=old.last_seen if old is not None else now,
        )

    async def _admit(self, host: RemoteHost, wanted: Wanted) -> tuple[str, ...]:
        """Have the host's agent let in by the KV's hosts; at its own it needs no key."""
        machine_id = host.facts.machine_id
        if wanted.kv or not self._cores.others(machine_id):
            return ()
        key = (await host.setup("key", None)).key
        return await self._cores.let_in(machine_id, key)

    def _claim(self, host: str, what: str, hint: str) -> None:
        """Note that *host* has this name or id. Raises ConflictError: another one has it too."""
        if self._claimed.setdefault(what, host) != host:
            raise ConflictError(f"{host} and {self._claimed[what]} are both {what}", hint=hint)

    async def _write(self, record: MachineRecord) -> tuple[str, ...]:
        known = self._mirror.state.machines.get(record.id)
        if known is not None and known.record == record:
            return ()
        await self._registry.put_machine_record(record)
        return (f"wrote the record of {record.name}",)

    def _access(self, host: RemoteHost, wanted: Wanted) -> tuple[str, tuple[str, ...]]:
        """Return by which endpoints *host* reaches the KV, and the host keys it needs for that."""
        if wanted.kv:
            return wanted.kv, ()
        return self._cores.access(host.facts.machine_id, self.recorded, wanted.kv_address)

    def recorded(self, machine_id: str) -> str:
        """Return the address that a machine's record has; "" for none."""
        known = self._mirror.state.machines.get(machine_id)
        return "".join(known.record.addresses[:1]) if known and known.record else ""

    def _plan(
        self, host: RemoteHost, bundle: Bundle, record: MachineRecord, kv: str
    ) -> tuple[str, ...]:
        facts = host.facts
        shipping = f"install {bundle.id} ({len(bundle.data) / 1e6:.0f} MB, {bundle.target})"
        return (
            *(() if facts.installed == bundle.id else (shipping,)),
            f"let the agent of {record.name} in at {kv}",
            f"write the record of {record.name}: {facts.user}@{record.addresses[0]}:{facts.port}",
            f"{'restart' if facts.has_agent else 'start'} {NAME}",
        )

    def _since(self, machine_id: str) -> float | None:
        """Return when the agent that is heard of began; ``None``: there is none."""
        machine = self._mirror.state.machines.get(machine_id)
        return machine.presence.since if machine and machine.presence else None

    async def _joined(
        self, host: RemoteHost, record: MachineRecord, before: float | None, seconds: float
    ) -> None:
        """Wait for an agent, and where it was started anew for another than *before*."""

        def there(_: ClusterState) -> bool:
            since = self._since(record.id)
            return since is not None and (before is None or since != before)

        if not await self._becomes(there, seconds):
            said = await host.log_of(NAME, _LOG_LINES)
            raise DeadlineExceededError(
                f"{host.name}: its agent does not join within {seconds:g} s; it says: "
                + " / ".join(said),
                hint=f"journalctl -u {NAME} there says more; run this again to go on",
            )

    async def _drained(self, machine_id: str, seconds: float, *, force: bool) -> None:
        units = self._mirror.state.placed_on(machine_id)

        def moved(cluster: ClusterState) -> bool:
            return not cluster.unmoved(units, {machine_id})

        if not await self._becomes(moved, seconds) and not force:
            left = ", ".join(self._mirror.state.unmoved(units, {machine_id}))
            raise DeadlineExceededError(
                f"its units find no other place within {seconds:g} s: {left}",
                hint="c101ctl why UNIT says why; --force stops them",
            )

    async def _becomes(self, holds: Callable[[ClusterState], bool], seconds: float) -> bool:
        """Wait until *holds* of the cluster; say whether that came in time."""
        try:
            async with asyncio.timeout(seconds):
                while not holds(cluster := self._mirror.state):
                    await self._mirror.next_change(cluster.revision)
        except TimeoutError:
            return False
        return True


def _before(outcome: Outcome, began: float | None) -> float | None:
    """Return the agent that another has to follow: that of *began*, if it was started anew."""
    return began if f"started {NAME}" in outcome.changed else None
