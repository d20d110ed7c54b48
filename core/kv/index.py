"""What is committed: the state of every key, its history, and the keys in order.

Keys that exist and keys that are deleted but still have history are ordered apart: counting what
exists is then the distance of two positions, and a read of an old revision merges both.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from c101.core.kv import key_index, refusal
from c101.core.kv.key_index import History
from c101.core.kv.record import CHANGE, Change, State, length_delimited, state_of
from c101.core.kv.refusal import refuse
from c101.core.kv.revision import FIRST_REVISION, TOMBSTONE
from c101.core.kv.tree import Interval, KeyTree

#: Finds records of the log by their ids; what was compacted away is left out.
FetchRecords = Callable[[list[int]], Mapping[int, bytes]]


class Index:
    """The committed keys."""

    def __init__(self, fetch_records: FetchRecords) -> None:
        self._fetch_records = fetch_records
        self.revision = FIRST_REVISION
        #: whether changes after ``revision`` are being applied, over several turns of the loop:
        #: a read then looks at every key as it was before them
        self.merging = False
        self.states: dict[bytes, State] = {}
        self.histories: dict[bytes, History] = {}
        self.living = KeyTree()
        self.deleted = KeyTree()

    def load(self, histories: dict[bytes, History], records: Iterable[tuple[int, bytes]]) -> None:
        """Take what the log holds: *histories*, and the records of the keys that exist.

        Raises RpcError (DATA_LOSS) for a record that is not that of its key and revision.
        """
        newest = {key_index.newest(history): key for key, history in histories.items()}
        for change, record in records:
            key = newest[change]
            if not record.startswith(length_delimited(b"\x0a", key)):
                raise refuse(refusal.CORRUPT)
            self.states[key] = state_of(change, record)
        self.histories = histories
        self.living = KeyTree(self.states)
        self.deleted = KeyTree(key for key in histories if key not in self.states)

    def apply(self, change: Change) -> State | None:
        """Make a committed change visible; return the state it replaces."""
        key, state, change_id = change
        states = self.states
        previous = states.get(key)
        if state is None:
            if previous is not None:
                del states[key]
                self.living.remove(key)
                self.deleted.add(key)
        else:
            if previous is None:
                self.living.add(key)
                if key in self.histories:
                    self.deleted.discard(key)
            states[key] = state
        history = self.histories.get(key)
        if history is None or isinstance(history, int):
            self.histories[key] = key_index.append(history, change_id)
        else:
            history.append(change_id)
        return previous

    def state_before(self, key: bytes, limit: int) -> State | None:
        """Return the state of *key* as of just before the change id *limit*."""
        states = self.states_before([key], limit)
        return states[0] if states else None

    def states_before(self, keys: list[bytes], limit: int) -> list[State]:
        """Return the states of *keys*, in order, of those that existed just before *limit*.

        What changed since is read from the log, some microseconds each; *keys* are as many as one
        statement takes.
        """
        found: list[State | int] = []
        for key in keys:
            state = self.states.get(key)
            if state is not None and state[CHANGE] < limit:
                found.append(state)
            elif (change := self.put_before(key, limit)) is not None:
                found.append(change)
        changes = [one for one in found if isinstance(one, int)]
        if not changes:
            return [one for one in found if not isinstance(one, int)]
        records = self._fetch_records(changes)
        return [
            state_of(one, records[one]) if isinstance(one, int) else one
            for one in found
            if not isinstance(one, int) or one in records
        ]

    def put_before(self, key: bytes, limit: int) -> int | None:
        """Return the last put of *key* before *limit*, unless a deletion came after it."""
        history = self.histories.get(key)
        change = None if history is None else key_index.newest_before(history, limit)
        return None if change is None or change & TOMBSTONE else change

    def existed_before(self, key: bytes, limit: int) -> bool:
        """Say whether *key* existed just before the change id *limit*."""
        return self.put_before(key, limit) is not None

    def keys_ever(self, span: Interval, limit: int) -> tuple[list[bytes], Interval | None]:
        """Return about *limit* keys of *span* that have history, in order, and what is left of it.

        The rest is ``None`` when there is nothing more.
        """
        living = self.living.within(span, limit)
        deleted = self.deleted.within(span, limit)
        ends = [keys[-1] for keys in (living, deleted) if len(keys) == limit]
        if not ends:
            return sorted(living + deleted), None
        # Past the end of a list that was cut off we do not know that list's keys.
        rest = (min(ends) + b"\0", span[1])
        return sorted(key for key in living + deleted if key < rest[0]), rest

    def compact(self, keys: Iterable[bytes], revision: int) -> list[int]:
        """Forget what a compaction at *revision* drops of *keys*; return the ids to delete."""
        dropped: list[int] = []
        for key in keys:
            history = self.histories.get(key)
            if history is None:
                continue
            kept, gone = key_index.compact(history, revision)
            if not gone:
                continue
            dropped += gone
            if kept is None:
                del self.histories[key]
                self.deleted.discard(key)
            else:
                self.histories[key] = kept
        return dropped

    def keys_after(self, after: bytes | None, limit: int) -> list[bytes]:
        """Return up to *limit* keys that have history, in order, from just after *after* on."""
        span: Interval = (b"" if after is None else after + b"\0", None)
        keys, _ = self.keys_ever(span, limit)
        return list(islice(keys, limit))

    def changes_of(self, key: bytes, start: int, limit: int) -> list[int]:
        """Return the ids of one key's changes from id *start* up to, not including, *limit*."""
        history = self.histories.get(key)
        return [] if history is None else key_index.changes_between(history, start, limit)
