"""journald's journal through ``journalctl``: what is stored, then what comes.

Filters are its own, so that what nobody asked for is never read here. It is read no faster than
whoever asked reads: the pipe fills, and ``journalctl`` waits.
"""

import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from c101.agents.runtime.systemd.journal.export import Fields
from c101.agents.runtime.systemd.journal.journalctl import USUAL_FIELDS, journalctl
from c101.agents.runtime.unit_manager import JournalQuery
from c101.core.clock import Clock
from c101.core.errors import C101Error
from c101.core.etcd.backoff import Backoff
from c101.core.model.host import JournalBatch
from c101.core.model.journal import JournalEntry

logger = logging.getLogger(__name__)

_PRIORITY_DEFAULT = 6
_ETC_MACHINE_ID = Path("/etc/machine-id")
#: Where a user's own service manager logs from.
_USER_MANAGER = b"init.scope"
#: Where in a cursor journald put the entry's time: microseconds since 1970, hexadecimal.
_CURSOR_TIME = re.compile(r"(?:^|;)t=([0-9a-f]{1,16})(?:;|$)")
_BOOT = re.compile(r"-?[0-9]{1,4}|[0-9a-f]{32}")
#: A cursor of ours is handed to a program: this is all that may be in one.
_CURSOR = re.compile(r"[A-Za-z0-9=;_-]{1,512}")


class JournalReader:
    """Reads one machine's journal. ``user`` reads that of the calling user's own manager.

    *units* are those that a reading is of which names none: it may grow meanwhile.
    """

    def __init__(
        self, machine_id: str, clock: Clock, units: Collection[str], *, user: bool = False
    ) -> None:
        self._machine_id = machine_id
        self._units = units
        self._clock = clock
        self._whose = ["--user"] if user else []

    @asynccontextmanager
    async def read(self, query: JournalQuery) -> AsyncIterator[AsyncIterator[JournalBatch]]:
        """Give the batches of one reading; leaving the block ends it. See ``UnitManager``."""
        batches = self._batches(query)
        try:
            yield batches
        finally:
            await batches.aclose()

    async def _batches(self, query: JournalQuery) -> AsyncGenerator[JournalBatch, None]:
        # Taken before what is stored is read: of what comes in between nothing is missed.
        cursor = await self._last_cursor() if query.follow else ""
        after, since, gap = await self._place(query)
        wanted = [*self._whose, *_filters(query)]
        lines = f"--lines={query.lines}" if query.lines else "--lines=all"
        ours = not (query.units or query.everything)
        # None of no units: journalctl would give all there is.
        if not ours or self._units:
            units = [f"--unit={unit}" for unit in self._units] if ours else []
            async with journalctl([*wanted, *units, *since, lines], after=after) as output:
                while fields := await output.more():
                    entries = self._entries(fields, query)
                    cursor = entries[-1].cursor
                    yield JournalBatch(entries=entries, gap=gap)
                    gap = False
                if output.left_out:
                    logger.warning("journalctl: %s", output.left_out)
                    gap = True
        yield JournalBatch(entries=(), gap=gap, caught_up=True)
        backoff = Backoff()
        while query.follow:
            async with journalctl([*wanted, *_following()], after=cursor) as output:
                while fields := await output.more():
                    entries = self._entries(fields, query)
                    cursor = entries[-1].cursor
                    backoff.reset()
                    # Units come and go: which entries are theirs is seen as they come.
                    if ours:
                        entries = [entry for entry in entries if entry.unit in self._units]
                    if entries:
                        yield JournalBatch(entries=entries)
            logger.warning("journalctl ended; it is started again")
            await self._clock.sleep(backoff.next())

    async def _place(self, query: JournalQuery) -> tuple[str, list[str], bool]:
        """Return after which entry or since when to read, and if something may be missing there."""
        cursor = query.after_cursor
        if not cursor:
            return "", [f"--since={_time(query.since_us)}"] if query.since_us else [], False
        found = _CURSOR_TIME.search(cursor)
        if found is None or not _CURSOR.fullmatch(cursor):
            raise C101Error(f"{cursor[:80]!r} is no cursor of this machine's journal")
        if await self._knows(cursor):
            return cursor, [], False
        return "", [f"--since={_time(int(found[1], 16) + 1)}"], True

    async def _knows(self, cursor: str) -> bool:
        """Say whether the entry of *cursor* is still there."""
        try:
            return await self._one(f"--cursor={cursor}", "--lines=1") == cursor
        except C101Error:  # it cannot even be looked for
            return False

    async def _last_cursor(self) -> str:
        return await self._one("--lines=1")

    async def _one(self, *arguments: str) -> str:
        """Return the cursor of the only entry that is asked for; "" when there is none."""
        async with journalctl([*self._whose, USUAL_FIELDS, *arguments]) as output:
            fields = await output.more()
        return fields[0].get("__CURSOR", b"").decode("ascii", "replace") if fields else ""

    def _entries(self, batch: Sequence[Fields], query: JournalQuery) -> list[JournalEntry]:
        entries = [entry_of(fields, self._machine_id) for fields in batch]
        if not query.all_fields:
            return entries
        pairs = zip(entries, batch, strict=True)
        return [replace(entry, fields=fields) for entry, fields in pairs]


def entry_of(fields: Fields, machine_id: str) -> JournalEntry:
    """Return the entry that has *fields*.

    What the service manager says of a unit is that unit's. A field that is not what it should be
    counts as missing: whoever may log may write all but those that begin with an underscore.
    """
    unit = fields.get("_SYSTEMD_USER_UNIT") or fields.get("_SYSTEMD_UNIT", b"")
    if fields.get("_PID") == b"1" or unit == _USER_MANAGER:
        unit = fields.get("UNIT") or fields.get("USER_UNIT") or unit
    return JournalEntry(
        cursor=fields.get("__CURSOR", b"").decode("ascii", "replace"),
        realtime_us=_number(fields.get("__REALTIME_TIMESTAMP"), 0),
        machine_id=machine_id,
        unit=unit.decode("utf-8", "replace"),
        priority=min(_number(fields.get("PRIORITY"), _PRIORITY_DEFAULT), 7),
        message=fields.get("MESSAGE", b""),
        pid=_number(fields.get("_PID"), 0),
        identifier=(fields.get("SYSLOG_IDENTIFIER") or fields.get("_COMM", b"")).decode(
            "utf-8", "replace"
        ),
    )


def _number(raw: bytes | None, default: int) -> int:
    return int(raw) if raw is not None and raw.isdigit() and len(raw) < 20 else default


def _time(microseconds: int) -> str:
    return f"@{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"


def _following() -> list[str]:
    """Return what has journalctl wait for more.

    By itself it would follow the present boot only, and take that from /proc, which in the sandbox
    of a service within a container is another one's. Told to merge it does not; so that it is still
    this machine's journal that is followed, its entries are asked for.
    """
    machine_id = _ETC_MACHINE_ID.read_text().strip()
    return ["--follow", "--no-tail", "--merge", f"_MACHINE_ID={machine_id}"]


def _filters(query: JournalQuery) -> Iterator[str]:
    for unit in query.units:
        yield f"--unit={unit}"
    if query.priority_max is not None:
        yield f"--priority={query.priority_max}"
    if query.identifier:
        yield f"--identifier={query.identifier}"
    if query.grep:
        yield f"--grep={query.grep}"
    if query.boot:
        if not _BOOT.fullmatch(query.boot):
            raise C101Error(f"{query.boot[:80]!r} is no boot: an id, or 0, -1 …")
        yield f"--boot={query.boot}"
    if not query.all_fields:
        yield USUAL_FIELDS
