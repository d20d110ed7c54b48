"""The files of the journal: order, rotation, cursors, damage."""

import os
from pathlib import Path

import pytest

from c101.agents.runtime.process.journal import format as layout
from c101.agents.runtime.process.journal.merged import MergedJournal, open_journal, prune
from c101.agents.runtime.process.journal.writer import JournalWriter
from c101.agents.runtime.unit_manager import JournalQuery
from c101.core.model.journal import JournalEntry

SMALL_FILE = 4_096


class Journal:
    """A journal on disk with writers for some units."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.id = open_journal(root)
        self.writers: dict[str, JournalWriter] = {}

    def write(self, unit: str, *lines: str, priority: int = 6) -> None:
        """Write *lines* as one block."""
        if unit not in self.writers:
            self.writers[unit] = JournalWriter(str(self.root), unit, file_bytes_max=SMALL_FILE)
        body = b"".join(layout.pack_entry(priority, line.encode()) for line in lines)
        self.writers[unit].append(body, len(lines), (7, b"me"))

    def reopen(self, unit: str) -> None:
        """Forget the writer, as when its keeper ended: the next write opens the files anew."""
        del self.writers[unit]

    def read(self, query: JournalQuery | None = None) -> tuple[list[JournalEntry], bool]:
        journal = MergedJournal(self.root, self.id, "machine", query or JournalQuery())
        entries: list[JournalEntry] = []
        gap = False
        while chunk := journal.chunk():
            entries += chunk
            gap |= journal.take_gap()
        gap |= journal.take_gap()
        journal.close()
        return entries, gap

    def texts(self, query: JournalQuery | None = None) -> list[str]:
        return [entry.message.decode() for entry in self.read(query)[0]]

    def files(self, unit: str) -> list[Path]:
        return sorted((self.root / unit).iterdir())


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def test_entries_of_all_units_come_in_the_order_in_which_they_were_written(
    journal: Journal,
) -> None:
    for number in range(300):
        journal.write(f"{'abc'[number % 3]}.service", f"{number}", f"{number} too")
    entries, gap = journal.read()
    assert not gap
    assert [entry.message.decode() for entry in entries[:4]] == ["0", "0 too", "1", "1 too"]
    numbers = [int(entry.message.split()[0]) for entry in entries]
    assert numbers == sorted(numbers)
    times = [entry.realtime_us for entry in entries]
    assert times == sorted(times)
    assert (entries[0].unit, entries[0].pid, entries[0].identifier) == ("a.service", 7, "me")


def test_every_cursor_resumes_exactly_in_any_selection(journal: Journal) -> None:
    for number in range(40):
        journal.write(
            f"{'ab'[number % 2]}.service", f"{number}", f"{number} too", f"{number} three"
        )
    every, _ = journal.read()
    for units in ((), ("a.service",), ("b.service", "a.service")):
        chosen = [entry for entry in every if not units or entry.unit in units]
        for place in range(0, len(every), 7):
            query = JournalQuery(units=units, after_cursor=every[place].cursor)
            rest, gap = journal.read(query)
            assert rest == [entry for entry in chosen if every.index(entry) > place]
            assert not gap


@pytest.mark.parametrize("lines", [1, 2, 5, 59, 60, 61, 1000])
def test_the_last_lines_are_the_last_of_all_units_together(journal: Journal, lines: int) -> None:
    for number in range(30):
        journal.write(f"{'abc'[number % 3]}.service", f"{number} one", f"{number} two")
    every = journal.texts()
    assert journal.texts(JournalQuery(lines=lines)) == every[-lines:]
    only = [text for text in every if int(text.split()[0]) % 3 == 1]
    assert journal.texts(JournalQuery(units=("b.service",), lines=lines)) == only[-lines:]


def test_lines_and_levels_and_time_choose_together(journal: Journal) -> None:
    for number in range(20):
        journal.write("a.service", f"{number}", priority=3 if number % 5 == 0 else 6)
    assert journal.texts(JournalQuery(priority_max=4)) == ["0", "5", "10", "15"]
    assert journal.texts(JournalQuery(priority_max=4, lines=2)) == ["10", "15"]
    since = journal.read()[0][7].realtime_us
    assert journal.texts(JournalQuery(since_us=since))[-13:] == [str(n) for n in range(7, 20)]
    assert journal.texts(JournalQuery(since_us=since + 10**9)) == []
    middle = journal.read()[0][12].cursor
    assert journal.texts(JournalQuery(after_cursor=middle, lines=100))[0] == "13"


def test_files_rotate_by_size_and_the_oldest_go(journal: Journal) -> None:
    for number in range(2_000):
        journal.write("a.service", f"line {number}")
    files = journal.files("a.service")
    assert len(files) == layout.FILES_MAX
    assert all(file.stat().st_size <= SMALL_FILE for file in files)
    texts = journal.texts()
    assert texts == [f"line {number}" for number in range(2_000 - len(texts), 2_000)]


def test_a_cursor_whose_successors_were_rotated_away_tells_of_a_gap(journal: Journal) -> None:
    journal.write("b.service", "other")
    journal.write("a.service", "first")
    cursor = journal.read()[0][-1].cursor
    for number in range(2_000):
        journal.write("a.service", f"line {number}")
    texts = journal.texts(JournalQuery(after_cursor=cursor))
    assert texts[-1] == "line 1999"
    assert journal.read(JournalQuery(after_cursor=cursor))[1]
    # The other unit has lost nothing.
    assert journal.read(JournalQuery(units=("b.service",), after_cursor=cursor)) == ([], False)


@pytest.mark.parametrize("cursor", ["", "x", "0123456789abcdef:3", ":", "ID:", "ID:-1", "ID:999"])
def test_a_cursor_of_another_journal_tells_of_a_gap_and_begins_anew(
    journal: Journal, cursor: str
) -> None:
    journal.write("a.service", "one", "two")
    query = JournalQuery(after_cursor=cursor.replace("ID", journal.id))
    entries, gap = journal.read(query)
    assert [entry.message for entry in entries] == [b"one", b"two"]
    assert gap == bool(cursor)


def test_a_reader_goes_on_over_rotations_and_new_units(journal: Journal) -> None:
    journal.write("a.service", "0")
    reading = MergedJournal(journal.root, journal.id, "machine", JournalQuery())
    read: list[str] = []
    for number in range(1, 1_000):
        journal.write(f"{'ab'[number // 500]}.service", str(number))
        if number % 10 == 0:
            reading.advance()
            while chunk := reading.chunk():
                read += [entry.message.decode() for entry in chunk]
    reading.close()
    assert read == [str(number) for number in range(991)]
    assert not reading.take_gap()


def test_a_reader_that_was_overtaken_by_rotation_tells_of_a_gap(journal: Journal) -> None:
    journal.write("a.service", "0")
    reading = MergedJournal(journal.root, journal.id, "machine", JournalQuery())
    assert len(reading.chunk()) == 1
    for number in range(2_000):
        journal.write("a.service", str(number))
    reading.advance()
    entries = []
    while chunk := reading.chunk():
        entries += chunk
    assert reading.take_gap()
    assert entries[-1].message == b"1999"
    reading.close()


def test_a_writer_goes_on_where_the_one_before_ended(journal: Journal) -> None:
    journal.write("a.service", "one", "two")
    journal.reopen("a.service")
    journal.write("a.service", "three")
    entries, gap = journal.read()
    assert [entry.message for entry in entries] == [b"one", b"two", b"three"]
    assert [int(entry.cursor.partition(":")[2]) for entry in entries] == [1, 2, 3]
    assert not gap
    assert len(journal.files("a.service")) == 1


@pytest.mark.parametrize("cut", range(1, 60, 3))
def test_a_torn_tail_is_cut_off_wherever_it_tore(journal: Journal, cut: int) -> None:
    journal.write("a.service", "one")
    journal.write("a.service", "two is torn")
    (file,) = journal.files("a.service")
    os.truncate(file, file.stat().st_size - cut)
    assert journal.texts() == ["one"]
    assert journal.texts(JournalQuery(lines=1)) == ["one"]
    journal.reopen("a.service")
    journal.write("a.service", "three")
    entries, _ = journal.read()
    assert [entry.message for entry in entries] == [b"one", b"three"]
    assert [int(entry.cursor.partition(":")[2]) for entry in entries] == [1, 3]


@pytest.mark.parametrize("at", [40, 60, 90, 110, 130])
def test_damage_in_the_middle_is_skipped_and_told_of(journal: Journal, at: int) -> None:
    for number in range(5):
        journal.write("a.service", f"line {number}")
    (file,) = journal.files("a.service")
    raw = bytearray(file.read_bytes())
    raw[at] ^= 0xFF
    file.write_bytes(raw)
    entries, gap = journal.read()
    texts = [entry.message.decode() for entry in entries]
    assert len(texts) == 4
    assert set(texts) < {f"line {number}" for number in range(5)}
    assert gap
    assert journal.texts(JournalQuery(lines=2)) == ["line 3", "line 4"]


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 32, b"\xff" * 5_000])
def test_what_is_no_journal_file_is_passed_over_and_replaced(
    journal: Journal, content: bytes
) -> None:
    journal.write("a.service", "one")
    journal.write("b.service", "two")
    journal.reopen("a.service")
    (file,) = journal.files("a.service")
    file.write_bytes(content)
    assert journal.texts() == ["two"]
    journal.write("a.service", "three")
    assert journal.texts() == ["two", "three"]


def test_a_block_that_was_never_published_is_seen_after_the_next_one(journal: Journal) -> None:
    """A keeper that dies between writing a block and publishing it loses nothing."""
    journal.write("a.service", "one")
    order = journal.root / "order"
    before = order.read_bytes()
    journal.write("a.service", "two")
    after = order.read_bytes()
    order.write_bytes(after[:8] + before[8:16] + after[16:])
    assert journal.texts() == ["one"]
    journal.write("b.service", "three")
    assert journal.texts() == ["one", "two", "three"]


def test_journals_of_units_that_are_gone_are_kept_up_to_a_number(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("c101.agents.runtime.process.journal.merged.REMAINING_MAX", 1)
    for place, unit in enumerate(("a.service", "b.service", "c.service")):
        journal.write(unit, unit)
        os.utime(journal.root / unit, (place, place))
    first = journal.read()[0][0].cursor
    prune(journal.root, keep={"c.service"})
    assert journal.texts() == ["b.service", "c.service"]
    assert journal.read(JournalQuery(after_cursor=first))[1] is False
    prune(journal.root, keep=())
    assert journal.texts() == ["c.service"]
    assert journal.read(JournalQuery(after_cursor=first))[1] is True


def test_a_text_or_an_identifier_is_looked_for_on_disk(journal: Journal) -> None:
    for number in range(6):
        journal.write("a.service", f"line {number}", f"other {number} (", priority=number)
    assert journal.texts(JournalQuery(grep="other", lines=2)) == ["other 4 (", "other 5 ("]
    # A plain text, in which nothing has a meaning: an agent works on no stranger's expression.
    assert journal.texts(JournalQuery(grep="3 (")) == ["other 3 ("]
    assert journal.texts(JournalQuery(grep="(a+)+$")) == []
    assert journal.texts(JournalQuery(grep="line", priority_max=1)) == ["line 0", "line 1"]
    assert len(journal.texts(JournalQuery(identifier="me"))) == 12
    assert journal.texts(JournalQuery(identifier="m")) == []
    assert journal.texts(JournalQuery(identifier="you", lines=3)) == []
