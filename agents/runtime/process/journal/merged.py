"""All units of a machine as one stream, in the order in which their entries were written."""

import heapq
import os
import secrets
import shutil
import sys
from collections import deque
from collections.abc import Collection, Iterator
from pathlib import Path

from c101.agents.runtime.process.journal import format as layout
from c101.agents.runtime.process.journal.order import read_order
from c101.agents.runtime.process.journal.reader import Block, UnitJournal
from c101.agents.runtime.unit_manager import JournalQuery
from c101.core.model.journal import JournalEntry

#: The most that one chunk holds, and so what a reader keeps in memory.
CHUNK_ENTRIES_MAX = 512
CHUNK_BYTES_MAX = 256 * 1024

ORDER_FILE = "order"
ID_FILE = "id"
#: Number of the last entry of any unit whose whole journal was removed.
REMOVED_FILE = "removed"
#: Journals kept of units that are loaded no more.
REMAINING_MAX = 64
_ID_BYTES = 8


def open_journal(root: Path) -> str:
    """Make the journal below *root* if it is not there; return its id. Raises OSError."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = root / ID_FILE
    try:
        found = path.read_text().strip()
    except FileNotFoundError:
        found = ""
    if not found:
        found = secrets.token_hex(_ID_BYTES)
        fresh = root / f"{ID_FILE}.tmp"
        fresh.write_text(found + "\n")
        fresh.replace(path)
    (root / ORDER_FILE).touch(mode=0o600)
    return found


class MergedJournal:
    """One reading of the journal: the state behind a stream of chunks."""

    def __init__(self, root: Path, journal_id: str, machine_id: str, query: JournalQuery) -> None:
        """Prepare to read what *query* asks for. Raises OSError: there is no journal."""
        self._root = root
        self._journal_id = journal_id
        self._machine_id = machine_id
        self._query = query
        # A plain text: a regular expression of somebody's could keep the agent busy for ever.
        self._sought = query.grep.encode()
        self._order = os.open(root / ORDER_FILE, os.O_RDONLY | os.O_CLOEXEC)
        self._units: dict[str, UnitJournal] = {}
        self._heads: list[tuple[int, str, Block]] = []
        self._idle: set[str] = set()
        self._ready: deque[JournalEntry] = deque()
        self.gap = False
        self.end_seq = self.published()
        self._after_seq = self._place()

    def close(self) -> None:
        """Close every file."""
        os.close(self._order)
        for unit in self._units.values():
            unit.close()

    def published(self) -> int:
        """Return one past the number of the last entry that can be read."""
        return read_order(self._order)[1]

    def advance(self) -> None:
        """Take in what was written since."""
        self.end_seq = self.published()

    def chunk(self) -> list[JournalEntry]:
        """Return the next entries below ``end_seq``; none when all have been given."""
        entries: list[JournalEntry] = []
        size = 0
        while len(entries) < CHUNK_ENTRIES_MAX and size < CHUNK_BYTES_MAX:
            if not self._ready and not self._next_block():
                break
            if self._ready:
                entry = self._ready.popleft()
                size += len(entry.message)
                entries.append(entry)
        return entries

    def take_gap(self) -> bool:
        """Say once whether entries were lost before those given last."""
        gap, self.gap = self.gap, False
        return gap

    def _place(self) -> int:
        """Return the number of the entry after which to begin, from cursor, ``lines`` and time."""
        after = 0
        if self._query.after_cursor:
            journal_id, _, number = self._query.after_cursor.partition(":")
            known = journal_id == self._journal_id and number.isdecimal() and number.isascii()
            after = int(number) if known else 0
            self.gap = not known or self._removed() > after or after >= max(self.end_seq, 1)
            if after >= max(self.end_seq, 1):
                after = 0
        if self._query.lines:
            after = max(after, self._before_last_lines(after))
        return after

    def _removed(self) -> int:
        """Return the last entry lost with whole journals; those of named units are looked at."""
        try:
            text = (self._root / REMOVED_FILE).read_text().strip()
        except OSError:
            return 0
        return int(text) if text.isdecimal() and not self._query.units else 0

    def _before_last_lines(self, after: int) -> int:
        """Return the number of the entry before the last ``lines`` that match."""
        walks = [
            (
                (-head.first_seq, unit, head, block)
                for head, block in journal.backwards(self.end_seq)
            )
            for unit, journal in self._journals()
        ]
        left = self._query.lines
        for _, _, head, block in heapq.merge(*walks, key=lambda walk: walk[0]):
            if head.end_seq <= after + 1 or head.realtime < self._query.since_us:
                return after
            for number, wanted in self._matches_backwards(head, block):
                if number <= after:
                    return after
                left -= wanted
                if not left:
                    return number - 1
        return after

    def _matches_backwards(
        self, head: layout.BlockHead, block: memoryview
    ) -> Iterator[tuple[int, bool]]:
        """Give the number of each entry of a block, the last one first, and whether it matches."""
        if self._query.priority_max is None and not self._sought and not self._query.identifier:
            for number in range(head.end_seq - 1, head.first_seq - 1, -1):
                yield number, True
            return
        identifier = layout.identifier_of(head, block)
        entries = layout.unpack_entries(head, block)
        for index in range(len(entries) - 1, -1, -1):
            yield head.first_seq + index, self._wanted(identifier, *entries[index])

    def _wanted(self, identifier: bytes, priority: int, message: bytes) -> bool:
        query = self._query
        return (
            (query.priority_max is None or priority <= query.priority_max)
            and (not query.identifier or identifier == query.identifier.encode())
            and self._sought in message
        )

    def _journals(self) -> list[tuple[str, UnitJournal]]:
        names = self._query.units or self._all_units()
        return [(name, UnitJournal(self._root, name)) for name in names if "/" not in name]

    def _all_units(self) -> list[str]:
        with os.scandir(self._root) as found:
            return sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))

    def _refill(self) -> None:
        """Have the next block of every unit at hand that has one."""
        for name, journal in self._journals():
            if name not in self._units:
                journal.seek(self._after_seq, self._query.since_us)
                self._units[name] = journal
                self._idle.add(name)
        for name in sorted(self._idle):
            self._pull(name)

    def _pull(self, name: str) -> None:
        journal = self._units[name]
        block = journal.next_block(self.end_seq)
        self.gap |= journal.gap
        journal.gap = False
        if block is None:
            self._idle.add(name)
        else:
            self._idle.discard(name)
            heapq.heappush(self._heads, (block[0].first_seq, name, block))

    def _next_block(self) -> bool:
        """Make the entries of the next block ready; False when there is none."""
        if not self._heads:
            self._refill()
        if not self._heads:
            return False
        _, name, (head, block) = heapq.heappop(self._heads)
        if head.end_seq - 1 > self._after_seq and head.realtime >= self._query.since_us:
            self._unpack(name, head, block)
        self._pull(name)
        return True

    def _unpack(self, name: str, head: layout.BlockHead, block: memoryview) -> None:
        raw = layout.identifier_of(head, block)
        identifier = raw.decode(errors="replace")
        for number, (priority, message) in enumerate(
            layout.unpack_entries(head, block), head.first_seq
        ):
            if number > self._after_seq and self._wanted(raw, priority, message):
                self._ready.append(
                    JournalEntry(
                        cursor=f"{self._journal_id}:{number}",
                        realtime_us=head.realtime,
                        machine_id=self._machine_id,
                        unit=name,
                        priority=priority,
                        message=message,
                        pid=head.pid,
                        identifier=identifier,
                    )
                )


def prune(root: Path, *, keep: Collection[str]) -> None:
    """Remove the journals longest unused, so that of units not in *keep* REMAINING_MAX are left."""
    with os.scandir(root) as found:
        unused = [
            (entry.stat().st_mtime, entry.name)
            for entry in found
            if entry.is_dir(follow_symlinks=False) and entry.name not in keep
        ]
    for _, name in sorted(unused, reverse=True)[REMAINING_MAX:]:
        last_seq = _last_seq(root, name)
        path = root / REMOVED_FILE
        try:
            before = int(path.read_text())
        except (OSError, ValueError):
            before = 0
        path.write_text(f"{max(last_seq, before)}\n")
        shutil.rmtree(root / name, ignore_errors=True)


def _last_seq(root: Path, name: str) -> int:
    last = next(UnitJournal(root, name).backwards(sys.maxsize), None)
    return 0 if last is None else last[0].end_seq - 1
