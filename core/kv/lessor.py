"""Leases: what is granted, when it ends, which keys hang on it.

Grants and revocations are staged and merged with the batch they belong to; attachments follow
the committed states. Expiry is measured on a clock of the lessor's own and not persisted: after a
restart every lease has its full TTL again, as in etcd. That clock is the monotonic one, less what
the process stood still.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush, merge
from itertools import islice

from c101.core.clock import Clock
from c101.core.kv import refusal
from c101.core.kv.record import LEASE, State
from c101.core.kv.refusal import refuse

#: Shorter TTLs are raised to this, as etcd does with its default election timeout.
TTL_SECONDS_MIN = 2
TTL_SECONDS_MAX = 9_000_000_000
#: Expiries looked at in one pass, whatever is found; the rest wait for the next, so that other work
#: gets its turn.
EXPIRIES_PER_PASS_MAX = 500
#: Leases put in order before others get a turn.
LEASES_PER_STEP = 500


@dataclass(slots=True, eq=False)
class Lease:
    """One granted lease; ``expiry`` is on the lessor's clock, in seconds.

    What is staged is one of these too: with a TTL a grant, with a TTL of 0 a revocation.
    """

    id: int
    ttl_seconds: int
    expiry: float


class Lessor:
    """The leases of a store."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stood_still_seconds = 0.0
        self._leases: dict[int, Lease] = {}
        self._staged: dict[int, Lease] = {}
        self._attached: dict[int, set[bytes]] = {}
        # (expiry, id); an entry whose lease was renewed meanwhile is put back when it comes up.
        self._expiries: list[tuple[float, int]] = []
        #: since the start: grants and revocations that are durable, expiries among the latter
        self.granted = self.revoked = self.renewed = self.expired = 0

    def load(self, leases: list[tuple[int, int]], states: Mapping[bytes, State]) -> None:
        """Take over what was persisted; every lease starts over with its full TTL."""
        for lease_id, ttl in leases:
            self._add(Lease(lease_id, ttl, self._now() + ttl))
        for key, state in states.items():
            if state[LEASE]:
                self._attached.setdefault(state[LEASE], set()).add(key)

    def _add(self, lease: Lease) -> None:
        self._leases[lease.id] = lease
        heappush(self._expiries, (lease.expiry, lease.id))

    # ---- what writes see ----

    def lookup(self, lease_id: int) -> Lease | None:
        """Return a lease, with everything staged applied."""
        lease = self._staged.get(lease_id)
        if lease is None:
            return self._leases.get(lease_id)
        return lease if lease.ttl_seconds else None

    def check_grant(self, lease_id: int, ttl_seconds: int) -> int:
        """Return the TTL to grant; raise RpcError if the lease exists or lasts too long."""
        if ttl_seconds > TTL_SECONDS_MAX:
            raise refuse(refusal.LEASE_TTL_TOO_LARGE)
        if self.lookup(lease_id) is not None:
            raise refuse(refusal.LEASE_EXISTS)
        return max(ttl_seconds, TTL_SECONDS_MIN)

    def stage(self, lease_id: int, ttl_seconds: int) -> Lease:
        """Note a grant, or with a TTL of 0 a revocation, that is not durable yet."""
        lease = Lease(lease_id, ttl_seconds, self._now() + ttl_seconds)
        self._staged[lease_id] = lease
        return lease

    def unstage(self) -> None:
        """Drop everything staged: its commit failed."""
        self._staged.clear()

    # ---- commits ----

    def merge(self, lease: Lease) -> None:
        """Make a staged grant or revocation effective; the TTL runs from here.

        A revocation deletes the attached keys as changes of its own, so they are detached by
        ``moved``.
        """
        if lease.ttl_seconds:
            self._prolong(lease)
            self._add(lease)
            self.granted += 1
        else:
            self._leases.pop(lease.id, None)
            self.revoked += 1
        if self._staged.get(lease.id) is lease:
            del self._staged[lease.id]

    def moved(self, key: bytes, previous: State | None, state: State | None) -> None:
        """Follow a committed change of *key* from one lease, or none, to another."""
        before = 0 if previous is None else previous[LEASE]
        after = 0 if state is None else state[LEASE]
        if before == after:
            return
        if before:
            keys = self._attached.get(before)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._attached[before]
        if after:
            self._attached.setdefault(after, set()).add(key)

    # ---- reads ----

    def committed(self, lease_id: int) -> Lease | None:
        """Return a lease that is durable."""
        return self._leases.get(lease_id)

    def attached(self, lease_id: int) -> list[bytes]:
        """Return the committed keys of a lease, in no order."""
        return list(self._attached.get(lease_id, ()))

    def remaining_seconds(self, lease: Lease) -> float:
        """Return how long *lease* still lasts; negative once it is over."""
        return lease.expiry - self._now()

    def by_expiry(self) -> Generator[None, None, list[int]]:
        """Return the ids of all leases there are at the first step, the next to end first."""
        leases = list(self._leases.values())
        runs: list[list[tuple[float, int]]] = []
        for first in range(0, len(leases), LEASES_PER_STEP):
            if first:
                yield
            some = leases[first : first + LEASES_PER_STEP]
            runs.append(sorted((lease.expiry, lease.id) for lease in some))
        merged = merge(*map(iter, runs))
        # An iterator lets go of its run at its end: to free all of them at once takes long.
        runs.clear()
        ordered: list[int] = []
        while some_ids := [lease_id for _, lease_id in islice(merged, LEASES_PER_STEP)]:
            ordered += some_ids
            if len(ordered) < len(leases):
                yield
        return ordered

    # ---- time ----

    def _now(self) -> float:
        return self._clock.monotonic() - self._stood_still_seconds

    def renew(self, lease: Lease) -> None:
        """Let *lease* last its full TTL from here."""
        self.renewed += 1
        self._prolong(lease)

    def _prolong(self, lease: Lease) -> None:
        lease.expiry = self._now() + lease.ttl_seconds

    def postpone(self, seconds: float) -> None:
        """Let every lease last *seconds* longer: this process stood still and heard no renewals."""
        self._stood_still_seconds += seconds

    def due(self) -> list[int]:
        """Return some of the leases that are over, at most EXPIRIES_PER_PASS_MAX, each once.

        There may be more, also after an empty list, if ``next_expiry_seconds`` returns 0.
        """
        now = self._now()
        over: list[int] = []
        for _ in range(EXPIRIES_PER_PASS_MAX):
            if not self._expiries or self._expiries[0][0] > now:
                break
            _, lease_id = heappop(self._expiries)
            lease = self._leases.get(lease_id)
            if lease is None or self.lookup(lease_id) is None:
                continue
            if lease.expiry > now:
                heappush(self._expiries, (lease.expiry, lease_id))
            else:
                over.append(lease_id)
        return over

    def retry(self, lease_id: int) -> None:
        """Have a lease that is over returned by ``due`` again: its revocation failed."""
        lease = self._leases.get(lease_id)
        if lease is not None:
            heappush(self._expiries, (lease.expiry, lease_id))

    def next_expiry_seconds(self) -> float | None:
        """Return in how many seconds ``due`` may have something; ``None`` for never."""
        if not self._expiries:
            return None
        return max(0.0, self._expiries[0][0] - self._now())
