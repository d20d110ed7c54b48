"""The journal export format: whatever is in a field, however the bytes come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c101.agents.runtime.systemd.journal.export import (
    FIELD_BYTES_MAX,
    ExportError,
    ExportReader,
    Fields,
)
from c101.agents.runtime.systemd.journal.reader import entry_of

NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789", min_size=1, max_size=20)
VALUES = st.binary(max_size=200)
ENTRIES = st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=5), max_size=5)


def text_field(name: str, value: bytes) -> bytes:
    return name.encode() + b"=" + value + b"\n"


def sized_field(name: str, value: bytes) -> bytes:
    return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


def export(entries: list[Fields]) -> bytes:
    """Print entries as journalctl does: text as a line, all else with its size."""
    raw = b""
    for fields in entries:
        for name, value in fields.items():
            plain = value.isascii() and value.decode().isprintable()
            raw += text_field(name, value) if plain else sized_field(name, value)
        raw += b"\n"
    return raw


def read(*chunks: bytes) -> list[Fields]:
    reader = ExportReader()
    return [fields for chunk in chunks for fields in reader.feed(chunk)]


@given(ENTRIES)
def test_entries_come_back_as_they_were(entries: list[Fields]) -> None:
    assert read(export(entries)) == entries


@given(ENTRIES, st.integers(1, 40))
def test_they_may_come_in_pieces_of_any_size(entries: list[Fields], size: int) -> None:
    raw = export(entries)
    assert read(*(raw[at : at + size] for at in range(0, len(raw), size))) == entries


def test_newlines_equals_signs_and_empty_lines_in_a_field_are_data() -> None:
    hostile = b"\n\nMESSAGE=no\n__CURSOR=no\n\n"
    entries: list[Fields] = [{"MESSAGE": hostile, "A": b"a=b=c"}, {"MESSAGE": b"next"}]
    assert read(export(entries)) == entries


def test_the_first_of_a_field_that_is_there_twice_counts() -> None:
    raw = text_field("MESSAGE", b"one") + text_field("MESSAGE", b"two") + b"\n"
    assert read(raw) == [{"MESSAGE": b"one"}]


@pytest.mark.parametrize("shape", [text_field, sized_field])
@pytest.mark.parametrize("size", [FIELD_BYTES_MAX, FIELD_BYTES_MAX + 1, 10 << 20])
def test_a_huge_field_is_cut_and_says_so(shape: object, size: int) -> None:
    assert callable(shape)
    raw = shape("MESSAGE", b"x" * size) + text_field("_PID", b"7") + b"\n"
    (fields,) = read(*(raw[at : at + 65_536] for at in range(0, len(raw), 65_536)))
    assert fields["_PID"] == b"7"
    kept = b"x" * min(size, FIELD_BYTES_MAX)
    more = size - FIELD_BYTES_MAX
    assert fields["MESSAGE"] == kept + (b" [%d bytes more]" % more if more > 0 else b"")


def test_what_is_held_of_a_huge_field_is_bounded() -> None:
    reader = ExportReader()
    assert list(reader.feed(b"MESSAGE\n" + (1 << 40).to_bytes(8, "little"))) == []
    for _ in range(200):
        assert list(reader.feed(b"x" * 65_536)) == []
    assert reader._long is not None
    assert len(reader._long._value) == FIELD_BYTES_MAX
    assert len(reader._buffer) == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"MESSAGE\n" + (3).to_bytes(8, "little") + b"four\n",
        b"x" * (FIELD_BYTES_MAX + 300),
        "NÄME=x\n".encode(),
        b"N" * 300 + b"=x\n",
    ],
)
def test_what_is_no_export_is_refused(raw: bytes) -> None:
    with pytest.raises(ExportError):
        read(raw)


def test_an_entry_is_of_the_unit_that_wrote_it() -> None:
    fields: Fields = {
        "__CURSOR": b"s=1;i=2",
        "__REALTIME_TIMESTAMP": b"1795459327000001",
        "_SYSTEMD_UNIT": b"web@1.service",
        "_PID": b"42",
        "_COMM": b"python3",
        "MESSAGE": b"\x1b[31mred",
        "PRIORITY": b"3",
    }
    entry = entry_of(fields, "m1")
    assert (entry.unit, entry.pid, entry.priority) == ("web@1.service", 42, 3)
    assert (entry.identifier, entry.message) == ("python3", b"\x1b[31mred")
    assert (entry.cursor, entry.realtime_us) == ("s=1;i=2", 1_795_459_327_000_001)


def test_what_the_manager_says_of_a_unit_is_that_units_and_nobody_else_can_say_so() -> None:
    said: Fields = {"_SYSTEMD_UNIT": b"init.scope", "UNIT": b"a.service", "_PID": b"1"}
    assert entry_of(said, "m").unit == "a.service"
    lie: Fields = {"_SYSTEMD_UNIT": b"evil.service", "UNIT": b"a.service", "_PID": b"77"}
    assert entry_of(lie, "m").unit == "evil.service"


@pytest.mark.parametrize("priority", [b"", b"-1", b"many", b"9" * 30, b"\xff"])
def test_a_field_that_is_not_what_it_should_be_counts_as_missing(priority: bytes) -> None:
    entry = entry_of({"PRIORITY": priority, "_PID": b"x", "_SYSTEMD_UNIT": b"\xff"}, "m")
    assert (entry.priority, entry.pid) == (6, 0)
    assert entry.unit
