"""What a power cut leaves: any state of a disk that the syncs in a journal allow.

A file has what was written before a sync of it that ended well; of the later writes any may be
there, each as a whole, in part, or not at all, by sectors. A name is there, gone, or changed once
its directory was synced; before that, what happened to the names of a directory may be undone from
the end.
"""

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR_BYTES = 512
_RECORD = struct.Struct("=IIQQ")


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the journal; see disk.c for the kinds."""

    kind: str
    file: int
    offset: int
    data: bytes


def read_journal(path: Path) -> list[Record]:
    """Return the records; one that was being written when all ended is left out."""
    raw = memoryview(path.read_bytes())
    records = []
    position = 0
    while position + _RECORD.size <= len(raw):
        kind, file, offset, length = _RECORD.unpack_from(raw, position)
        position += _RECORD.size
        if chr(kind) == "Z":
            records.append(Record("W", file, offset, bytes(length)))
            continue
        if position + length > len(raw):
            break
        records.append(Record(chr(kind), file, offset, bytes(raw[position : position + length])))
        position += length
    return records


@dataclass(eq=False, slots=True)
class Content:
    """A file, whatever its name: what is surely there, and what was done since, with its time."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, Record]] = field(default_factory=list)

    def sync(self, covered: int) -> None:
        """Make durable what was done before time *covered*."""
        later = []
        for time, record in self.pending:
            if time < covered:
                _do(self.durable, record)
            else:
                later.append((time, record))
        self.pending = later

    def crashed(self, random_: random.Random, policy: str) -> bytes:
        """Return what may be there after a power cut."""
        found = bytearray(self.durable)
        count = len(self.pending)
        if policy == "prefix":
            count = random_.randint(0, count)
        for _, record in self.pending[: 0 if policy == "nothing" else count]:
            if policy != "torn" or record.kind == "T":
                if policy in ("everything", "prefix") or random_.random() < 0.5:
                    _do(found, record)
                continue
            for first in range(0, len(record.data), SECTOR_BYTES):
                if random_.random() < 0.5:
                    part = record.data[first : first + SECTOR_BYTES]
                    _do(found, Record("W", record.file, record.offset + first, part))
        return bytes(found)


#: Of what was not synced: nothing is there; all is; all up to some moment; any writes; any sectors.
POLICIES = ("nothing", "everything", "prefix", "subset", "torn")


def _do(content: bytearray, record: Record) -> None:
    if record.kind == "T":
        del content[record.offset :]
        content.extend(bytes(record.offset - len(content)))
    else:
        content.extend(bytes(max(0, record.offset - len(content))))
        content[record.offset : record.offset + len(record.data)] = record.data


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """What happened to names of one directory: each now means this file, a directory, or none."""

    directory: str
    names: dict[str, "Content | str | None"]


#: What a name may mean besides a file.
DIRECTORY = "directory"


class Disk:
    """The files under *root*: what was *durable* there, and what the records so far did."""

    def __init__(self, root: Path, durable: "dict[str, Content | str]") -> None:
        self._root = str(root)
        self._time = 0
        #: by path: what is surely there
        self._durable = durable
        #: by path: what programs see
        self._seen = dict(durable)
        self._namings: list[Naming] = []
        self._open: dict[int, str] = {}
        self._contents: dict[int, Content] = {}

    def do(self, record: Record) -> None:
        """Go on by one record."""
        match record.kind:
            case "C" | "O":
                self._opened(record)
            case "W" | "T":
                content = self._contents.get(record.file)
                if content is not None:
                    content.pending.append((self._time, record))
            case "S":
                self._sync(record)
            case "R":
                old, new = (part.decode() for part in record.data.split(b"\0"))
                assert Path(old).parent == Path(new).parent, "names move within a directory only"
                self._name(new, {new: self._seen.pop(old), old: None})
            case "U":
                path = record.data.decode()
                self._seen.pop(path, None)
                self._name(path, {path: None})
            case "M":
                path = record.data.decode()
                self._name(path, {path: DIRECTORY})
            case _:
                raise AssertionError(f"not a kind of record: {record.kind}")
        self._time += 1

    def _opened(self, record: Record) -> None:
        path = record.data.decode()
        self._open[record.file] = path
        if record.kind == "C":
            self._name(path, {path: Content()})
        found = self._seen.get(path)
        if isinstance(found, Content):
            self._contents[record.file] = found

    def _name(self, path: str, names: "dict[str, Content | str | None]") -> None:
        self._namings.append(Naming(directory=str(Path(path).parent), names=names))
        self._seen.update({name: found for name, found in names.items() if found is not None})

    def _sync(self, record: Record) -> None:
        content = self._contents.get(record.file)
        if content is not None:
            content.sync(record.offset)
            return
        directory = self._open[record.file]
        for naming in self._namings:
            if naming.directory == directory:
                _rename(self._durable, naming)
        self._namings = [one for one in self._namings if one.directory != directory]

    def crashed(self, random_: random.Random, policy: str) -> dict[str, bytes | None]:
        """Return what a power cut may leave, by path; ``None`` is a directory.

        What lies in a directory that is not there is not there either.
        """
        names = dict(self._durable)
        kept = {"nothing": 0, "everything": len(self._namings)}.get(policy)
        if kept is None:
            kept = random_.randint(0, len(self._namings))
        for naming in self._namings[:kept]:
            _rename(names, naming)
        found: dict[str, bytes | None] = {}
        for path in sorted(names):
            parent = str(Path(path).parent)
            if path == self._root or parent in found or not parent.startswith(self._root):
                what = names[path]
                found[path] = what.crashed(random_, policy) if isinstance(what, Content) else None
        return found


def _rename(names: "dict[str, Content | str]", naming: Naming) -> None:
    for name, found in naming.names.items():
        if found is None:
            names.pop(name, None)
        else:
            names[name] = found


def write_state(state: dict[str, bytes | None], root: Path, to: Path) -> None:
    """Write what ``crashed`` returned of *root* to the directory *to*."""
    to.mkdir(parents=True, exist_ok=True)
    for name, content in state.items():
        path = to / Path(name).relative_to(root)
        if content is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content)


def replayed(root: Path, records: list[Record]) -> Iterator[Disk]:
    """Yield the disk, *root* empty at first, before every record and at the end.

    It is one object, to be looked at before the next is asked for.
    """
    disk = Disk(root, {str(root): DIRECTORY})
    yield disk
    for record in records:
        disk.do(record)
        yield disk


def contents(root: Path) -> "dict[str, Content | str]":
    """Return what is under *root*, by path, as something that is surely there."""
    return {
        str(path): DIRECTORY if path.is_dir() else Content(bytearray(path.read_bytes()))
        for path in (root, *root.rglob("*"))
    }
