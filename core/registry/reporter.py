"""What an agent says of itself: its presence and the states of its units, under its lease.

When the lease ends all of it goes at once, which is how the cluster learns that a machine is gone.
"""

from collections.abc import Iterable, Sequence

from c101.core.errors import ConflictError
from c101.core.etcd import txn
from c101.core.etcd.client import Client
from c101.core.etcd.txn import Delete, Op, Put
from c101.core.model.machine import MachinePresence
from c101.core.model.unit import UnitState
from c101.core.registry import records
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.records import RecordError

#: Operations in one transaction; etcd takes 128.
OPS_MAX = 100


class Reporter:
    """The writes of one agent. Each raises LeaseNotFoundError when the lease is gone."""

    def __init__(self, client: Client, keyspace: Keyspace, machine_id: str) -> None:
        self._client = client
        self._keyspace = keyspace
        self._machine_id = machine_id

    async def announce(self, presence: MachinePresence, lease: int) -> None:
        """Say that the machine is there; again with each change of what it says.

        An agent that was restarted takes over what it said itself: a presence of the same boot. One
        of another boot belongs to a machine that has just gone down, and ends with its lease, or to
        a second machine with the same id.

        Raises ConflictError: there is one of another boot. Try again after the TTL.
        """
        key = self._keyspace.machine_presence(self._machine_id)
        before = await self._client.get(key)
        if before is not None and before.lease != lease:
            other = self._boot_id(key, before.value)
            if other not in {None, presence.boot_id}:
                raise ConflictError(
                    f"machine {self._machine_id} is present already, with boot id {other}",
                    hint="if it was not rebooted just now, two machines have one machine id",
                )
        result = await self._client.transaction(
            compare=[txn.mod_revision(key).equals(before.mod_revision if before else 0)],
            success=[Put(key, records.encode(presence), lease)],
        )
        if not result.succeeded:
            raise ConflictError(f"somebody else announces machine {self._machine_id} just now")

    async def publish(
        self, states: Sequence[UnitState], *, lease: int, gone: Iterable[str] = ()
    ) -> None:
        """Write *states*, and delete those of the units in *gone*.

        More than 100 take more than one transaction; each unit's is whole.
        """
        ops: list[Op] = [
            Put(self._keyspace.unit_state(s.unit, self._machine_id), records.encode(s), lease)
            for s in states
        ]
        ops += [Delete(self._keyspace.unit_state(unit, self._machine_id)) for unit in gone]
        for start in range(0, len(ops), OPS_MAX):
            await self._client.transaction(compare=[], success=ops[start : start + OPS_MAX])

    async def withdraw(self) -> None:
        """Take the presence back, before the lease is given up."""
        await self._client.delete(self._keyspace.machine_presence(self._machine_id))

    def _boot_id(self, key: str, value: bytes) -> str | None:
        """Return the boot id in a presence; ``None`` for a damaged one, which may be replaced."""
        try:
            return records.machine_presence(key, value, self._machine_id).boot_id
        except RecordError:
            return None
