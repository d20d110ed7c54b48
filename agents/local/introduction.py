"""Writes a cluster's machines into its KV, and waits for them."""

import asyncio
from collections.abc import Iterable, Sequence

from c101.agents.local.layout import Layout
from c101.agents.local.stages import Stages
from c101.core.clock import Clock
from c101.core.etcd.client import Client
from c101.core.model.machine import Machine, MachineRecord
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.mirror import Mirror
from c101.core.registry.registry import Registry
from c101.core.rpc.dial import UnixDialer


async def introduce(
    layout: Layout, records: Sequence[MachineRecord], stages: Stages, clock: Clock
) -> None:
    """Write the machines' *records*, and set each of *stages* when it is reached."""
    keyspace = Keyspace()
    async with Client([UnixDialer(str(layout.kv_socket))], clock=clock) as client:
        await client.status()
        registry = Registry(client, keyspace, clock)
        for record in records:
            await registry.put_machine_record(record)
        stages.answering.set()
        mirror = Mirror(client, keyspace, clock)
        async with asyncio.TaskGroup() as group:
            following = group.create_task(mirror.run(), name="mirror")
            began = min((record.added for record in records), default=0.0)
            wanted = {record.id for record in records}
            revision = 0
            while not wanted <= _joined_since(began, mirror.state.present()):
                revision = (await mirror.next_change(revision)).revision
            following.cancel()
    stages.joined.set()


def _joined_since(began: float, present: Iterable[Machine]) -> set[str]:
    """Return the machines whose agent started after *began*.

    After a crash the KV still holds what agents said that are gone, until their leases end.
    """
    return {one.id for one in present if one.presence is not None and one.presence.since >= began}
