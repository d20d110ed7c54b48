"""What the console needs of a cluster. Everything behind it goes over SSH; tests put a fake here.

Every stream ends by raising: ``LinkError`` and its kind where the other side is gone. The feed
that reads it opens it again.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from c101.core.model.cluster import ClusterState
from c101.core.model.host import JournalBatch, MachineUsage, UnitStatus
from c101.core.model.key_value import KeyValue
from c101.core.model.unit import TargetState

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterUpdate:
    """The cluster as it is now; ``connected`` is false while it is only what was last known.

    ``problem`` says why, where that is known.
    """

    cluster: ClusterState
    connected: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysUpdate:
    """Keys that were put and deleted up to *revision*.

    ``snapshot`` begins a new picture: what came before it is void. It may come in several updates,
    of which only the first says so.
    """

    put: Sequence[KeyValue] = ()
    deleted: Sequence[bytes] = ()
    revision: int = 0
    snapshot: bool = False
    complete: bool = True


class ClusterVerbs(Protocol):
    """What can be done to a cluster. Each raises ``C101Error`` when it was not done."""

    async def set_target(self, unit: str, target: TargetState) -> None:
        """Want a unit launched, loaded or inactive."""
        ...

    async def restart(self, unit: str) -> None:
        """Have a launched unit restarted once."""
        ...

    async def destroy(self, unit: str) -> None:
        """Stop a unit and forget its file."""
        ...

    async def get_key(self, key: bytes) -> KeyValue | None:
        """Read a key as it is now."""
        ...

    async def put_key(self, key: bytes, value: bytes, *, expected_revision: int) -> None:
        """Write a key that nobody changed since *expected_revision*; 0 is for one not there.

        A lease that the key has stays with it.

        Raises:
            ConflictError: somebody did.
        """
        ...

    async def delete_key(self, key: bytes, *, expected_revision: int) -> None:
        """Delete a key that nobody changed since *expected_revision*.

        Raises:
            ConflictError: somebody did.
        """
        ...

    async def lease_seconds(self, lease: int) -> int:
        """Return how long a lease was granted for; 0 when it is gone."""
        ...

    async def unit_status(self, machine_id: str, unit: str) -> UnitStatus:
        """Ask a machine about one of its units."""
        ...

    async def power(self, machine_id: str, *, on: bool) -> None:
        """Cut a machine's power, or switch it on; only where ``can_power``."""
        ...


class ClusterAccess(Protocol):
    """A cluster that the console shows."""

    @property
    def name(self) -> str:
        """What the cluster is called."""
        ...

    @property
    def application(self) -> str:
        """What the demo runs on it, "" otherwise."""
        ...

    @property
    def address(self) -> str:
        """Where that application answers, "" where it does not."""
        ...

    @property
    def can_power(self) -> bool:
        """Whether its machines are on this computer."""
        ...

    @property
    def ends_at_quit(self) -> bool:
        """Whether it ends when the console does."""
        ...

    @property
    def verbs(self) -> ClusterVerbs:
        """What can be done to it, once it is open."""
        ...

    async def open(self, say: Say) -> None:
        """Reach the cluster, or make it; tell by *say* how far it is."""
        ...

    async def close(self) -> None:
        """Let go of it; end it where it ends with the console."""
        ...

    def cluster(self) -> AsyncGenerator[ClusterUpdate, None]:
        """Yield the cluster's state, at once and after every change."""
        ...

    def keys(self) -> AsyncGenerator[KeysUpdate, None]:
        """Yield every key, then every change."""
        ...

    def usage(self, machine_id: str) -> AsyncGenerator[MachineUsage, None]:
        """Yield how one machine fares, at once and then as its agent tells."""
        ...

    def journal(self, machine_id: str, after_cursor: str) -> AsyncGenerator[JournalBatch, None]:
        """Yield one machine's latest lines, or those after a cursor, then new ones."""
        ...

    def reaches(self, machine_id: str) -> bool:
        """Say whether an SSH address of the machine is known."""
        ...

    def round_trip(self, machine_id: str = "") -> float | None:
        """Return the last known round trip in seconds, to a machine or to the KV."""
        ...
