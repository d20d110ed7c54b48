"""The KV's sockets for those who may do less than everything, and who may open them.

``kv-viewer.sock`` and ``kv-operator.sock`` belong to the groups ``c101-viewer`` and
``c101-operator`` where there are such groups. Each machine of the cluster has a
``kv-agent-<machine>.sock``, there as long as the machine's record is: it belongs to the group
``c101``, as which the host's sshd runs the relays of agents (see ``agents.host.setup``).
"""

import asyncio
import logging
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Protocol

from c101.core.clock import Clock
from c101.core.errors import C101Error
from c101.core.etcd.client import Client
from c101.core.etcd.mirror import Mirror
from c101.core.kv.auth.rights import Rights
from c101.core.kvserver.server import ADMIN_SOCKET
from c101.core.model.key_value import KeyValue
from c101.core.registry import records
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.roles import OPERATOR, VIEWER, ReadableKeys, WritableKeys, agent_role
from c101.core.rpc.dial import UnixDialer
from c101.core.socket_group import AGENTS_GROUP, give_to_group, role_group
from c101.core.units.requirements import Requirements

logger = logging.getLogger(__name__)


class Listeners(Protocol):
    """What serves the sockets: our own KV, or a front of a real etcd."""

    async def listen_role(self, path: Path, role: str, rights: Rights, mode: int = ...) -> None:
        """Listen at *path* for who has *role*. Raises ConfigError: the socket cannot be had."""
        ...

    def close_role(self, role: str) -> None:
        """Listen for *role* no more."""
        ...


class RoleSockets:
    """Those of *server*, in *directory*."""

    def __init__(
        self, server: Listeners, directory: Path, keyspace: Keyspace, clock: Clock
    ) -> None:
        self._server = server
        self._directory = directory
        self._keyspace = keyspace
        self._clock = clock
        self._machines: set[str] = set()
        self._units: Mirror | None = None

    async def listen(self) -> None:
        """Listen for viewers and operators. Raises ConfigError: a socket cannot be had."""
        for role in (VIEWER, OPERATOR):
            await self._listen(role, role_group(role))

    async def follow_machines(self) -> None:
        """Listen for the agents of the machines that there are, until cancelled."""
        admin = UnixDialer(self._directory / ADMIN_SOCKET)
        async with (
            Client([admin], clock=self._clock) as client,
            client.mirror(self._keyspace.units) as units,
            client.mirror(self._keyspace.machines) as machines,
        ):
            self._units = units
            following = asyncio.create_task(_follow(units), name="units, for role sockets")
            try:
                await self._serve(self._recorded(machines.kvs))
                async for _ in machines:
                    await self._serve(self._recorded(machines.kvs))
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    def _named_on(self, machine_id: str) -> set[str]:
        """Return the secrets that the units of a machine name; a global unit may be on any."""
        found: set[str] = set()
        kvs = self._units.kvs if self._units is not None else {}
        for key, kv in kvs.items():
            parsed = self._keyspace.parse(key)
            if parsed is None or parsed.kind != "unit_file" or b"Secret" not in kv.value:
                continue
            asks = Requirements.of_known(parsed.name, kv.value.decode("utf-8", "replace"))
            placement = kvs.get(self._keyspace.unit_placement(parsed.name).encode())
            if asks.is_global or (placement and _machine_of(placement) == machine_id):
                found.update(asks.secrets)
        return found

    def _recorded(self, keys: Iterable[bytes]) -> set[str]:
        """Return the machines that have a record; what is no name is no machine."""
        found = (self._keyspace.parse(key) for key in keys)
        ids = {one.machine_id for one in found if one and one.kind == "machine_record"}
        return {one for one in ids if self._keyspace.may_name(one)}

    async def _serve(self, machines: AbstractSet[str]) -> None:
        for machine in self._machines - machines:
            self._server.close_role(agent_role(machine))
        for machine in machines - self._machines:
            try:
                await self._listen(agent_role(machine), AGENTS_GROUP)
            except C101Error as error:
                logger.error("no socket for a machine", extra={"error": str(error)})  # noqa: TRY400
        self._machines = set(machines)

    async def _listen(self, role: str, group: str) -> None:
        rights = Rights(
            root=False,
            read=ReadableKeys(role, self._keyspace, self._named_on),
            # What a secret becomes after its unit has moved is not for who had the unit.
            watch=ReadableKeys(role, self._keyspace, lambda _machine: ()),
            write=WritableKeys(role, self._keyspace),
        )
        path = self._directory / f"kv-{role}.sock"
        await self._server.listen_role(path, role, rights, mode=0o600)
        give_to_group(path, group)


async def _follow(mirror: Mirror) -> None:
    async for _ in mirror:
        pass  # what it holds is what was wanted


def _machine_of(placement: KeyValue) -> str:
    try:
        return records.placement("", placement.value).machine_id
    except C101Error:
        return ""
