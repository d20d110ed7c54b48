"""The page format, both ways: what is written is read, and what is no such file is refused."""

import os
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c101.core.kv.snapshot import bbolt_pages as pages
from c101.core.kv.snapshot.bbolt_pages import BRANCH, BUCKET, LEAF, META, PAGE_HEADER, Meta
from c101.core.kv.snapshot.bbolt_reader import LONG_PAGE_BYTES_MAX, BoltFile
from c101.core.kv.snapshot.bbolt_writer import PAGE_BYTES, Bucket, Layout
from c101.core.kv.snapshot.etcd_buckets import SnapshotError

Content = dict[bytes, dict[bytes, bytes]]

SHAPES: dict[str, dict[bytes, bytes]] = {
    "nothing": {},
    "one entry": {b"k": b"v"},
    "a page that is full to the byte": {b"k": bytes(PAGE_BYTES - 16 - 16 - 1)},
    "a page that is a byte too full": {b"k": bytes(PAGE_BYTES - 16 - 16)},
    "a value of many pages": {b"a": b"", b"b": os.urandom(1_500_000), b"c": b"x"},
    "two leaves": {b"%03d" % n: bytes(100) for n in range(50)},
    "three levels": {b"%06d" % n: bytes(300) for n in range(3_000)},
    "keys so long that a branch has two children": {
        b"%04d" % n + bytes(1_800): b"" for n in range(40)
    },
    "keys longer than a page": {b"%04d" % n + bytes(9_000): b"v" for n in range(20)},
}


def write(path: Path, content: Content) -> Path:
    layout = Layout([Bucket.of(name, entries) for name, entries in content.items()])
    data = b"".join(layout.write())
    assert len(data) == layout.size
    path.write_bytes(data)
    return path


def read(path: Path) -> Content:
    with BoltFile(path) as file:
        return {name: dict(file.items(name)) for name in file.buckets}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_what_is_written_is_read_and_its_order_kept(
    tmp_path: Path, shape: dict[bytes, bytes]
) -> None:
    content = {b"key": shape, b"meta": {b"m": b"1"}, b"authUsers": {}}
    file = write(tmp_path / "file", content)
    assert read(file) == content
    with BoltFile(file) as opened:
        assert [key for key, _ in opened.items(b"key")] == sorted(shape)


@pytest.mark.integration
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_bbolts_own_check_finds_every_page_of_it_used_and_in_order(
    tmp_path: Path, shape: dict[bytes, bytes]
) -> None:
    # etcdctl runs it before it tells the totals; what is under "key" has to look like revisions.
    file = write(tmp_path / "file", {b"other": shape, b"meta": {}})
    done = subprocess.run(
        ["etcdctl", "snapshot", "status", str(file), "-w", "simple"],
        env={**os.environ, "ETCDCTL_API": "3"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(", ")[2] == str(len(shape))


@given(
    st.dictionaries(st.binary(min_size=1, max_size=2_500), st.binary(max_size=9_000), max_size=60)
)
@settings(max_examples=60, deadline=None)
def test_any_entries_are_read_as_they_were_written(entries: dict[bytes, bytes]) -> None:
    path = Path(f"/dev/shm/c101-bbolt-{os.getpid()}")
    try:
        assert read(write(path, {b"b": entries})) == {b"b": entries}
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("page_bytes", [1_024, 16_384, 65_536])
@pytest.mark.parametrize("damaged", [None, 0, 1])
def test_pages_of_another_size_are_read_though_one_meta_is_damaged(
    tmp_path: Path, page_bytes: int, damaged: int | None
) -> None:
    file = tmp_path / "file"
    file.write_bytes(small_file(page_bytes))
    if damaged is not None:
        with file.open("r+b") as opened:
            opened.seek(damaged * page_bytes + 40)
            opened.write(b"\xff\xff")
    assert read(file) == {b"key": {b"k": b"v"}, b"meta": {b"inline": b"1"}}


def test_the_meta_of_the_later_transaction_counts(tmp_path: Path) -> None:
    file = tmp_path / "file"
    data = bytearray(small_file(PAGE_BYTES))
    older = Meta(page_bytes=PAGE_BYTES, root=99, freelist=2, pages=5, txid=1)
    data[PAGE_BYTES : 2 * PAGE_BYTES] = older.pack(1)
    file.write_bytes(data)
    assert read(file)[b"key"] == {b"k": b"v"}


def small_file(page_bytes: int = PAGE_BYTES) -> bytes:
    """Return a file with a bucket on a page of its own, and one within the root page."""
    metas = [
        Meta(page_bytes=page_bytes, root=4, freelist=2, pages=5, txid=txid).pack(page)
        for page, txid in ((0, 8), (1, 7))
    ]
    inline = pages.BUCKET_HEADER.pack(0, 3) + pages.pack_leaf(0, [(b"inline", b"1")], 1 << 10)
    roots = [(b"key", pages.BUCKET_HEADER.pack(3, 0)), (b"meta", inline.rstrip(b"\0"))]
    return b"".join(
        (
            *metas,
            pages.pack_freelist(2, page_bytes),
            pages.pack_leaf(3, [(b"k", b"v")], page_bytes),
            pages.pack_leaf(4, roots, page_bytes, flags=BUCKET),
        )
    )


def header(page: int, kind: int, count: int, overflow: int = 0) -> bytes:
    return PAGE_HEADER.pack(page, kind, count, overflow)


def with_page_3(body: bytes) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        data[3 * PAGE_BYTES : 3 * PAGE_BYTES + len(body)] = body

    return change


def both_metas(root: int = 4, count: int = 5) -> Callable[[bytearray], None]:
    def change(data: bytearray) -> None:
        for page in (0, 1):
            meta = Meta(page_bytes=PAGE_BYTES, root=root, freelist=2, pages=count, txid=page)
            data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = meta.pack(page)

    return change


def no_metas(data: bytearray) -> None:
    data[: 2 * PAGE_BYTES] = bytes(2 * PAGE_BYTES)


BRANCH_OF = pages.BRANCH_ELEMENT.pack
LEAF_OF = pages.LEAF_ELEMENT.pack
#: 200 values of 3,800 bytes, all of them the same bytes of one page.
BOMB = b"".join(LEAF_OF(0, 16 * (200 - n), 1, 3_800) for n in range(200))

HOSTILE: dict[str, tuple[Callable[[bytearray], None], str]] = {
    "no meta is valid": (no_metas, "neither of its two meta pages is valid"),
    "the root is out of range": (both_metas(root=77), "page 77 is referred to: there are 5"),
    "the root is a meta": (both_metas(root=0), "page 0 is referred to"),
    "more pages than there are": (both_metas(count=1 << 40), "cut off"),
    "a branch that is its own child": (
        with_page_3(header(3, BRANCH, 1) + BRANCH_OF(16, 1, 3) + b"k"),
        "page 3: it is reached twice",
    ),
    "a branch to its root": (
        with_page_3(header(3, BRANCH, 1) + BRANCH_OF(16, 1, 4) + b"k"),
        "page 4: it is reached twice",
    ),
    "a child out of range": (
        with_page_3(header(3, BRANCH, 1) + BRANCH_OF(16, 1, 1 << 60) + b"k"),
        "is referred to: there are 5",
    ),
    "a branch without children": (with_page_3(header(3, BRANCH, 0)), "page 3: .*without children"),
    "more elements than fit": (with_page_3(header(3, LEAF, 65_535)), "page 3: 65535 elements"),
    "a page past the end": (with_page_3(header(3, LEAF, 0, 1 << 31)), "page 3: it goes on for"),
    "another page's number": (with_page_3(header(9, LEAF, 0)), "page 3: it says that it is page 9"),
    "a page of no kind": (with_page_3(header(3, META, 0)), "page 3: it is of kind 0x4"),
    "a value outside of its page": (
        with_page_3(header(3, LEAF, 1) + LEAF_OF(0, 16, 1, 5_000)),
        "page 3: element 0 lies outside",
    ),
    "a key in the header": (
        with_page_3(header(3, LEAF, 1) + LEAF_OF(0, 0, 1, 1)),
        "page 3: element 0 lies outside",
    ),
    "values that lie over one another": (
        with_page_3(header(3, LEAF, 200) + BOMB),
        "page 3: element .* lies outside",
    ),
    "keys out of order": (
        with_page_3(header(3, LEAF, 2) + LEAF_OF(0, 32, 1, 0) + LEAF_OF(0, 17, 1, 0) + b"ba"),
        "page 3: elements 0 and 1 are out of order",
    ),
    "a bucket in a bucket": (
        with_page_3(header(3, LEAF, 1) + LEAF_OF(BUCKET, 16, 1, 1) + b"kv"),
        "holds another bucket",
    ),
}


@pytest.mark.parametrize(("change", "text"), HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_lies_is_refused_with_what_is_wrong_and_where(
    tmp_path: Path, change: Callable[[bytearray], None], text: str
) -> None:
    data = bytearray(small_file())
    change(data)
    file = tmp_path / "file"
    file.write_bytes(data)
    with pytest.raises(SnapshotError, match=text) as caught:
        read(file)
    assert str(file) in str(caught.value)


def test_a_page_too_long_to_be_read_is_refused_before_it_is(tmp_path: Path) -> None:
    file = tmp_path / "file"
    count = LONG_PAGE_BYTES_MAX // PAGE_BYTES + 10
    data = bytearray(small_file())
    both_metas(count=count)(data)
    with_page_3(header(3, LEAF, 0, count - 5))(data)
    file.write_bytes(data)
    os.truncate(file, count * PAGE_BYTES)
    with pytest.raises(SnapshotError, match=r"page 3: it is .* bytes long"):
        read(file)


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_is_refused_or_harmless_and_never_more(tmp_path: Path, mask: int) -> None:
    content: Content = {b"key": {b"%03d" % n: b"%d" % n for n in range(200)}, b"meta": {b"a": b"b"}}
    whole = write(tmp_path / "whole", content).read_bytes()
    file = tmp_path / "file"
    outcomes = {"refused": 0, "read": 0}
    for at in range(0, len(whole), 29):
        file.write_bytes(whole[:at] + bytes((whole[at] ^ mask,)) + whole[at + 1 :])
        try:
            read(file)
            outcomes["read"] += 1
        except SnapshotError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 50


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", {b"key": SHAPES["two leaves"]}).read_bytes()
    file = tmp_path / "file"
    for length in [0, 1, 15, 79, 80, *range(100, len(whole), 997), len(whole) - 1]:
        file.write_bytes(whole[:length])
        with pytest.raises(SnapshotError):
            read(file)


def test_what_is_no_file_of_bbolt_is_refused(tmp_path: Path) -> None:
    sqlite = tmp_path / "sqlite"
    sqlite.write_bytes(b"SQLite format 3\0" + bytes(100_000))
    with pytest.raises(SnapshotError, match="no etcd database"):
        read(sqlite)
    with pytest.raises(SnapshotError, match="No such file"):
        read(tmp_path / "missing")
    with pytest.raises(SnapshotError, match="Is a directory"):
        read(tmp_path)


def test_a_file_is_read_page_by_page_however_large(tmp_path: Path) -> None:
    large = {b"%07d" % n: os.urandom(500) for n in range(40_000)}
    file = write(tmp_path / "file", {b"key": large})
    del large
    tracemalloc.start()
    try:
        with BoltFile(file) as opened:
            assert sum(1 for _ in opened.items(b"key")) == 40_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < file.stat().st_size / 10
    shutil.rmtree(tmp_path)
