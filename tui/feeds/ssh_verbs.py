"""What can be done to a cluster, done over its links."""

import uuid
from collections.abc import Awaitable, Callable

from c101.agents.client.agent_client import AgentClient
from c101.core.errors import ConfigError, ConflictError
from c101.core.etcd import txn
from c101.core.etcd.client import Client
from c101.core.etcd.errors import LeaseNotFoundError
from c101.core.etcd.txn import Delete, Put
from c101.core.model.host import UnitStatus
from c101.core.model.key_value import KeyValue
from c101.core.model.unit import TargetState
from c101.core.registry.registry import Registry

Power = Callable[[str, bool], Awaitable[None]]

#: Seconds that an agent may take to answer about a unit.
STATUS_TIMEOUT_SECONDS = 5.0


class SshVerbs:
    """Verbs by the registry, the KV and the agents. *power* is there for clusters made here."""

    def __init__(
        self,
        client: Client,
        registry: Registry,
        agent: Callable[[str], AgentClient],
        power: Power | None,
    ) -> None:
        self._client = client
        self._registry = registry
        self._agent = agent
        self._power = power

    async def set_target(self, unit: str, target: TargetState) -> None:
        """Want a unit launched, loaded or inactive."""
        await self._registry.set_target(unit, target)

    async def restart(self, unit: str) -> None:
        """Have a launched unit restarted once."""
        await self._registry.request_restart(unit, uuid.uuid4().hex)

    async def destroy(self, unit: str) -> None:
        """Stop a unit and forget its file."""
        await self._registry.destroy(unit)

    async def get_key(self, key: bytes) -> KeyValue | None:
        """Read a key as it is now."""
        return await self._client.get(key)

    async def put_key(self, key: bytes, value: bytes, *, expected_revision: int) -> None:
        """Write a key that nobody changed since *expected_revision*; its lease stays with it.

        Raises:
            ConflictError: somebody did.
        """
        held = await self._client.get(key) if expected_revision else None
        lease = held.lease if held is not None else 0
        result = await self._client.transaction(
            compare=[txn.mod_revision(key).equals(expected_revision)],
            success=[Put(key, value, lease)],
        )
        if not result.succeeded:
            raise _conflict(key)

    async def delete_key(self, key: bytes, *, expected_revision: int) -> None:
        """Delete a key that nobody changed since *expected_revision*.

        Raises:
            ConflictError: somebody did.
        """
        result = await self._client.transaction(
            compare=[txn.mod_revision(key).equals(expected_revision)], success=[Delete(key)]
        )
        if not result.succeeded:
            raise _conflict(key)

    async def lease_seconds(self, lease: int) -> int:
        """Return how long a lease was granted for; 0 when it is gone."""
        try:
            return (await self._client.get_lease_info(lease)).granted_ttl
        except LeaseNotFoundError:
            return 0

    async def unit_status(self, machine_id: str, unit: str) -> UnitStatus:
        """Ask a machine about one of its units."""
        return await self._agent(machine_id).status(unit)

    async def power(self, machine_id: str, *, on: bool) -> None:
        """Cut a machine's power, or switch it on."""
        if self._power is None:
            raise ConfigError("the machines of this cluster are not on this computer")
        await self._power(machine_id, on)


def _conflict(key: bytes) -> ConflictError:
    return ConflictError(f"{key.decode('utf-8', 'replace')}: somebody else changed it first")
