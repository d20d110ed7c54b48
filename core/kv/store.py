"""The write path: stage, commit in groups, merge, answer.

``index`` is what is committed and all that reads ever see. ``staged`` lies over it: what has been
applied and is not durable yet; only writes look there, so that each sees the ones before it. While
one batch is being written the next collects; when the commit is done the next is handed to the
writer at once, before the answers of the last are built.

If a batch fails, everything staged is dropped and everybody who waits is told; the store is back at
what is committed. A full disk leaves it usable; any other failure leaves it readable only, because
nobody knows what reached the disk.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from zlib import crc32

from c101.core.clock import Clock
from c101.core.kv import alarms, refusal
from c101.core.kv.admission import Admission
from c101.core.kv.answers import Answer, Durable, Refused
from c101.core.kv.checksum import LOW_BITS
from c101.core.kv.damage import DamageError
from c101.core.kv.durations import Durations
from c101.core.kv.gate import WriteGate
from c101.core.kv.index import Index
from c101.core.kv.lessor import Lease, Lessor
from c101.core.kv.record import Change, State, make_state
from c101.core.kv.refusal import Refusal, refuse
from c101.core.kv.revision import SHIFT, TOMBSTONE
from c101.core.kv.stepper import free_in_steps
from c101.core.kv.storage import Storage, StorageError
from c101.core.kv.tree import Interval, contains
from c101.core.kv.watch import WatchHub
from c101.core.kv.writer import Batch, Writer
from c101.core.proto import rpc_pb2
from c101.core.rpc.status import Code, RpcError

logger = logging.getLogger(__name__)

#: Writes waiting for their commit; the next one is refused as etcd does when it is this far behind.
PENDING_ANSWERS_MAX = 50_000
#: Changes, or leases, merged, and answers sent, before other work gets a turn.
CHANGES_PER_STEP = 128
ANSWERS_PER_STEP = 128
#: So few answers wait for the first step of telling those who watch: alone, a write is no faster
#: for being answered first, and its event is late by the answer's way out.
ANSWERS_BEHIND_EVENTS = 4

_NO_WRITES = (Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE)


class Store:
    """Everything of one data directory, on the loop that is running.

    A database that would become larger than *quota_bytes* raises NOSPACE, and a request that writes
    has at most *write_bytes_max*; ``None`` is no such limit.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        *,
        quota_bytes: int | None = None,
        write_bytes_max: int | None = None,
    ) -> None:
        self.storage = storage
        self.clock = clock
        self._loop = asyncio.get_running_loop()
        self.index = Index(storage.fetch_records)
        self.lessor = Lessor(clock)
        try:
            with storage.damage_named():
                self._load()
                self.admission = Admission(storage, quota_bytes, write_bytes_max)
        except StorageError:
            storage.close()
            raise
        self.watches = WatchHub(self.index, storage, self.compact_revision, self._loop)
        self.staged: dict[bytes, State | None] = {}
        # A deletion leaves no state to know it by: which change it was that is staged of a key.
        self._staged_deletions: dict[bytes, int] = {}
        self._batch = Batch()
        self.gate = WriteGate(self._loop, self._submit_soon)
        self._writing: Batch | None = None
        self._merging: Iterator[None] | None = None
        self._next_to_merge: Batch | None = None
        self._after_merge: list[Callable[[], None]] = []
        self._after_commit: list[Callable[[], None]] = []
        self._scheduled = False
        self._idle: asyncio.Future[None] | None = None
        self._pins: dict[int, int] = {}
        self._writer = Writer(storage, self._loop, self._done, clock)
        #: since the start, those inside transactions included
        self.puts = self.deletes = 0
        #: ranges inside transactions: the others are calls, which are counted as such
        self.txn_ranges = 0

    def _load(self) -> None:
        storage = self.storage
        histories, revision = storage.load_histories()
        newest = [h if isinstance(h, int) else h[-1] for h in histories.values()]
        living = [change for change in newest if not change & TOMBSTONE]
        with closing(storage.load_records(living)) as records:
            self.index.load(histories, records)
        if len(self.index.states) != len(living):
            raise DamageError("records are missing")
        self.index.revision = self.staged_revision = revision
        self.compact_revision = self.staged_compaction = max(
            storage.scheduled_compaction, storage.finished_compaction
        )
        self.lessor.load(storage.load_leases(), self.index.states)

    @property
    def revision(self) -> int:
        """The committed revision."""
        return self.index.revision

    @property
    def commits(self) -> Durations:
        """How long commits took since the start."""
        return self._writer.durations

    @property
    def writable(self) -> bool:
        """Whether writes are taken."""
        return self.admission.refusal is None

    # ---- what writes see ----

    def admit(self) -> None:
        """Raise RpcError when writes are not taken: call it before staging anything."""
        if self.admission.refusal is not None:
            raise refuse(self.admission.refusal)
        if len(self._batch.answers) >= PENDING_ANSWERS_MAX:
            raise refuse(refusal.TOO_MANY_REQUESTS)

    def refuse_growth(self, answer: Answer) -> None:
        """Refuse a request that is larger than ``admission.put_bytes_max``.

        The first that finds no room raises NOSPACE, and hears of it when that is durable.
        """
        alarm = self.admission.no_room()
        if alarm is not None:
            self.stage_alarm(alarm, raised=True)
        self.answer(Refused(answer, refuse(refusal.NO_SPACE)), b"")

    def current(self, key: bytes) -> State | None:
        """Return the state of *key* with everything staged applied."""
        if key in self.staged:
            return self.staged[key]
        return self.index.states.get(key)

    def current_keys(self, span: Interval) -> list[bytes]:
        """Return the keys in *span* with everything staged applied, in order."""
        keys = self.index.living.within(span)
        touched = {key: state for key, state in self.staged.items() if contains(span, key)}
        if not touched:
            return keys
        found = {key for key in keys if key not in touched}
        found.update(key for key, state in touched.items() if state is not None)
        return sorted(found)

    # ---- staging ----

    def stage_put(self, change: int, key: bytes, value: bytes, lease: int) -> None:
        """Stage a put as *change*; the caller raises ``staged_revision``."""
        staged = self.staged
        previous = staged[key] if key in staged else self.index.states.get(key)
        record, state = make_state(change, key, value, lease, previous)
        staged[key] = state
        self.puts += 1
        batch = self._batch
        batch.rows += (change, key, record, crc32(record, crc32(key, change & LOW_BITS)))
        batch.changes.append((key, state, change))

    def stage_delete(self, change: int, key: bytes) -> None:
        """Stage a deletion as *change*, a tombstone's id; the caller raises ``staged_revision``."""
        self.staged[key] = None
        self._staged_deletions[key] = change
        self.deletes += 1
        batch = self._batch
        batch.rows += (change, key, None, crc32(key, change & LOW_BITS))
        batch.changes.append((key, None, change))

    def stage_deletes(self, keys: list[bytes], revision: int, sub: int) -> None:
        """Stage the deletion of *keys* as changes *sub* and following of *revision*."""
        change = revision << SHIFT | sub << 1 | TOMBSTONE
        for key in keys:
            self.stage_delete(change, key)
            change += 2

    def stage_lease(self, lease_id: int, ttl_seconds: int) -> None:
        """Stage a grant, or with a TTL of 0 the revocation, of a lease."""
        self._batch.leases.append(self.lessor.stage(lease_id, ttl_seconds))

    def stage_bucket(self, name: str, key: bytes, value: bytes | None) -> None:
        """Stage an entry of a small bucket, or with ``None`` its deletion.

        What a bucket means is in memory elsewhere; that changes once ``durable`` is done.
        """
        self._batch.buckets.append((name, key, value))

    def stage_alarm(self, alarm: rpc_pb2.AlarmMember, *, raised: bool) -> None:
        """Stage that *alarm* is raised, or disarmed; it has its effect with the commit."""
        key = alarm.SerializeToString()
        self.stage_bucket(alarms.BUCKET, key, b"" if raised else None)
        self._batch.alarms.append((alarm, raised))

    def stage_compaction(self, revision: int) -> None:
        """Stage that *revision* is the compact revision."""
        self.staged_compaction = revision
        self._batch.meta["scheduled_compaction"] = revision

    def stage_cleaning(self, dropped: list[int], *, finished: int | None = None) -> None:
        """Stage the deletion of rows that a compaction dropped, and at the end that it is done."""
        self._batch.deletions += dropped
        if finished is not None:
            self._batch.meta["finished_compaction"] = finished

    def answer(self, answer: Answer, message: bytes) -> None:
        """Send *message* once everything staged so far is durable."""
        self._batch.answers.append((answer, message))
        if self._writing is None and not self._scheduled:
            self._submit_soon()

    def refuse(self, answer: Answer, error: RpcError) -> None:
        """Send *error* once all that was staged when it was found is durable.

        A refusal tells of what others staged: that a lease is gone, a key there. What says that no
        writes are taken is sent at once.
        """
        if self.settled or error.status in _NO_WRITES:
            answer.fail(error.status, error.message)
        else:
            self.answer(Refused(answer, error), b"")

    def _submit_soon(self) -> None:
        if not self._scheduled:
            # Not now: whatever else this turn of the loop reads joins the same commit.
            self._scheduled = True
            self._loop.call_soon(self._submit)

    def durable(self) -> asyncio.Future[None]:
        """Return a future that is done once everything staged so far is durable."""
        note = Durable(self._loop)
        self.answer(note, b"")
        return note.future

    @property
    def settled(self) -> bool:
        """Whether nothing is staged or being written: what writes see is what is committed."""
        return (
            self._writing is None
            and self._merging is None
            and self._batch.empty
            and not self.gate.staging
        )

    @property
    def merging(self) -> bool:
        """Whether a commit is on its way to those who read or wait; it may be visible already.

        How far those who watch have been told is ``watches.delivered_revision``.
        """
        return self._merging is not None

    def after_merge(self, then: Callable[[], None]) -> None:
        """Call *then* as soon as nothing is being merged: now, or some turns of the loop later."""
        if self._merging is None:
            then()
        else:
            self._after_merge.append(then)

    @property
    def committing(self) -> bool:
        """Whether a batch is being written, or will be before the loop waits for anything."""
        return self._writing is not None or self._scheduled

    def after_commit(self, then: Callable[[], None]) -> None:
        """Call *then* when the next batch was written, whatever came of it."""
        self._after_commit.append(then)

    async def defragment(self) -> None:
        """Give free pages back to the disk. Writes wait meanwhile; reads go on.

        Raises RpcError when it fails.
        """
        self._batch.vacuum = True
        await self.durable()

    # ---- commit ----

    def _submit(self) -> None:
        self._scheduled = False
        batch = self._batch
        if self._writing is not None or batch.empty or self.gate.staging:
            return
        batch.revision = self.staged_revision
        self._writing = batch
        self._batch = Batch()
        self._writer.submit(batch)

    def _done(self, batch: Batch) -> None:
        waiting, self._after_commit = self._after_commit, []
        for then in waiting:
            then()
        if self._merging is None:
            self._complete(batch)
        else:
            # One commit waits while another is merged, none is written after it.
            self._next_to_merge = batch

    def _complete(self, batch: Batch) -> None:
        self._writing = None
        if batch.failure is not None:
            self._failed(batch, batch.failure)
        else:
            self._submit()
            self.admission.committed(batch)
            self._merging = self._merge(batch)
            self._merge_on()
        if self._idle is not None and not self._idle.done() and self.settled:
            self._idle.set_result(None)

    def _merge_on(self) -> None:
        merging = self._merging
        assert merging is not None
        for _ in merging:
            self._loop.call_soon(self._merge_on)
            return
        self._merging = None
        waiting, self._after_merge = self._after_merge, []
        for then in waiting:
            then()
        batch, self._next_to_merge = self._next_to_merge, None
        if batch is not None:
            self._complete(batch)
        elif self._idle is not None and not self._idle.done() and self.settled:
            self._idle.set_result(None)

    def _merge(self, batch: Batch) -> Iterator[None]:
        """Make *batch* visible at once, tell those who wait, begin to tell those who watch.

        Yields where others may have a turn. Until the revision is raised reads see what was before
        it; writes see the same all the time: a change leaves what is staged as it is applied.
        """
        while self.watches.backlogged:
            yield
        changes = batch.changes
        self.index.merging = max(len(changes), len(batch.leases)) > CHANGES_PER_STEP
        watched: list[tuple[Change, State | None]] = []
        # Over several turns somebody may begin to watch; in one nobody can.
        watching = self.index.merging or self.watches.watching
        for first in range(0, len(changes), CHANGES_PER_STEP):
            if first:
                yield
            some = changes[first : first + CHANGES_PER_STEP]
            previous = self._apply(some)
            if watching:
                watched += zip(some, previous, strict=True)
        yield from self._merge_leases(batch.leases)
        compaction = batch.meta.get("scheduled_compaction")
        if compaction is not None:
            self.compact_revision = self.watches.compact_revision = compaction
        self.index.merging = False
        self.index.revision = batch.revision
        few = len(batch.answers) <= ANSWERS_BEHIND_EVENTS
        if few:
            self.watches.deliver(batch.revision, watched)
        for number, (answer, message) in enumerate(batch.answers, 1):
            answer.reply(message)
            if not number % ANSWERS_PER_STEP:
                yield
        if not few:
            self.watches.deliver(batch.revision, watched)
        yield from free_in_steps(changes, batch.rows, batch.answers, batch.leases)

    def _merge_leases(self, leases: list[Lease]) -> Iterator[None]:
        for first in range(0, len(leases), CHANGES_PER_STEP):
            if first:
                yield
            for lease in leases[first : first + CHANGES_PER_STEP]:
                self.lessor.merge(lease)

    def _apply(self, changes: list[Change]) -> list[State | None]:
        """Apply *changes* to what is committed; return what each one replaced."""
        index, staged, lessor = self.index, self.staged, self.lessor
        deletions = self._staged_deletions
        replaced: list[State | None] = []
        for change in changes:
            key, state, change_id = change
            previous = index.apply(change)
            if state is None:
                # An earlier deletion than the one that is staged leaves that alone.
                if deletions.get(key) == change_id:
                    del deletions[key]
                    if staged[key] is None:
                        del staged[key]
            elif staged.get(key) is state:
                del staged[key]
            if (state is not None and state[4]) or (previous is not None and previous[4]):
                lessor.moved(key, previous, state)
            replaced.append(previous)
        return replaced

    def _failed(self, batch: Batch, why: Refusal) -> None:
        logger.error("commit failed", extra={"reason": why[1], "revision": batch.revision})
        self.admission.dropped()
        if why is not refusal.NO_SPACE:
            self.admission.fail(why)
        waiting = batch.answers + self._batch.answers
        self._batch = Batch()
        self.staged.clear()
        self._staged_deletions.clear()
        self.lessor.unstage()
        self.staged_revision = self.index.revision
        self.staged_compaction = self.compact_revision
        for answer, _ in waiting:
            answer.fail(*why)
        self.gate.abort(refuse(why))

    # ---- reads of old revisions ----

    def pin(self, revision: int) -> None:
        """Keep what a read at *revision* needs from being cleaned away, until ``unpin``."""
        self._pins[revision] = self._pins.get(revision, 0) + 1

    def unpin(self, revision: int) -> None:
        """Let go of what ``pin`` kept."""
        self._pins[revision] -= 1
        if not self._pins[revision]:
            del self._pins[revision]

    def pinned_below(self, revision: int) -> bool:
        """Say whether a read older than *revision* is going on."""
        return any(pin < revision for pin in self._pins)

    # ---- end ----

    async def close(self) -> None:
        """Take no more writes, wait until those taken are durable and delivered, and close."""
        self.admission.fail(refusal.STOPPED)
        self.gate.finish()
        if not self.settled:
            self._idle = self._loop.create_future()
            self._submit()
            await self._idle
        delivered = self._loop.create_future()
        self.watches.when_delivered(self.revision, lambda: delivered.set_result(None))
        await delivered
        self._writer.close()
        self.storage.close()
