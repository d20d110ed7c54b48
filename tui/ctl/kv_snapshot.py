"""``kv snapshot``: save, status, restore, as etcdctl has them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from c101.tui.ctl.output import print_json, print_lines, say
from c101.tui.ctl.session import Options, Session, run

if TYPE_CHECKING:
    from c101.tui.ctl.progress import Progress

file_argument = click.argument("file", type=click.Path(path_type=Path))


@click.group("snapshot", context_settings={"help_option_names": ["-h", "--help"]})
def snapshot_command() -> None:
    """Save and restore the KV as a whole, in etcd's own format."""


@snapshot_command.command("save")
@file_argument
@click.pass_obj
def save_command(options: Options, *, file: Path) -> None:
    """Write the KV as it is to FILE: for `kv snapshot restore`, `etcdctl snapshot restore`."""

    async def verb(session: Session) -> int:
        return await _save(session, file)

    size = run(options, verb)
    if options.json:
        print_json({"file": str(file), "bytes": size})
    else:
        print_lines([f"Snapshot saved at {file}"])


async def _save(session: Session, file: Path) -> int:
    """Write the snapshot; return its size in bytes. Raises SnapshotError, and what a verb does."""
    from contextlib import aclosing

    from c101.core.kv.snapshot.snapshot_file import verify_hash, whole_file

    size = 0
    with (
        _progress(session.options, "saving") as progress,
        whole_file(file, verify=verify_hash) as out,
    ):
        async with aclosing(session.client.maintenance.snapshot(progress=progress)) as pieces:
            async for piece in pieces:
                out.write(piece)
                size += len(piece)
    return size


@snapshot_command.command("status")
@file_argument
@click.pass_obj
def status_command(options: Options, *, file: Path) -> None:
    """Say what FILE holds: hash, revision, keys in all, size, as `etcdctl snapshot status` does."""
    from c101.core.kv.snapshot.snapshot_file import status

    with _progress(options, "reading") as progress:
        found = status(file, progress)
    if options.json:
        print_json(
            {
                "hash": found.hash,
                "revision": found.revision,
                "totalKey": found.total_keys,
                "totalSize": found.total_bytes,
            }
        )
        return
    size = si_bytes(found.total_bytes)
    print_lines([f"{found.hash:x}, {found.revision}, {found.total_keys}, {size}"])


@snapshot_command.command("restore")
@file_argument
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="The data directory to be made; it is not there, or empty.",
)
@click.option(
    "--skip-hash-check", is_flag=True, help="Take a database file that was copied: it has no hash."
)
@click.pass_obj
def restore_command(options: Options, *, file: Path, data_dir: Path, skip_hash_check: bool) -> None:
    """Make a data directory for `c101-core kv` of FILE, a snapshot of an etcd or of ours.

    Keys keep their revisions. The cluster gets an id of its own: what knew the other one sees that
    this is another.
    """
    from c101.core.kv.snapshot.restore import restore

    with _progress(options, "restoring") as progress:
        done = restore(file, data_dir, skip_hash_check=skip_hash_check, progress=progress)
    if done.orphans and not options.json:
        say(f"{done.orphans} keys belong to leases that are not there; nothing will end them")
    if options.json:
        print_json(
            {
                "data_dir": str(data_dir),
                "revision": done.revision,
                "compact_revision": done.compact_revision,
                "keys": done.keys,
                "leases": done.leases,
            }
        )
    else:
        found = f"{done.keys} keys, {done.leases} leases"
        print_lines([f"Restored {found} at revision {done.revision} to {data_dir}"])


def _progress(options: Options, what: str) -> "Progress":
    from c101.core.clock import SystemClock
    from c101.tui.ctl.progress import Progress

    return Progress(what, SystemClock(), shown=not options.json)


def si_bytes(size: int) -> str:
    """Return *size* as etcdctl writes it: powers of a thousand, one decimal below ten."""
    if size < 10:
        return f"{size} B"
    value, unit = float(size), 0
    while value >= 1000 and unit < 6:
        value /= 1000
        unit += 1
    rounded = int(value * 10 + 0.5) / 10
    text = f"{rounded:.1f}" if rounded < 10 else f"{rounded:.0f}"
    return f"{text} {('B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB')[unit]}"
