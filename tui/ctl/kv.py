"""``kv``: keep the KV in order."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from c101.tui.ctl.kv_ha import ha_command
from c101.tui.ctl.kv_roles import roles_command
from c101.tui.ctl.kv_snapshot import snapshot_command
from c101.tui.ctl.output import print_json, print_lines, print_table
from c101.tui.ctl.session import Options, Session, run

if TYPE_CHECKING:
    from c101.core.etcd.maintenance import Alarm, KeyHash
    from c101.core.kv.check import Report

#: What looks at all the data may take so long, whatever other requests may take.
PATIENCE_SECONDS = 600.0

HELP = {"help_option_names": ["-h", "--help"]}


def _patient(options: Options) -> Options:
    return replace(options, timeout_seconds=max(options.timeout_seconds, PATIENCE_SECONDS))


@click.group("kv", context_settings=HELP)
def kv_command() -> None:
    """Keep the KV in order: snapshots, space, alarms, checks; take it to an etcd."""


kv_command.add_command(snapshot_command)
kv_command.add_command(ha_command)
kv_command.add_command(roles_command)


@kv_command.command("defrag")
@click.pass_obj
def defrag_command(options: Options) -> None:
    """Give the space of what was deleted and compacted back to the disk."""

    async def verb(session: Session) -> tuple[int, int]:
        before = (await session.client.status()).db_size
        session.tell("defragmenting …")
        await session.client.maintenance.defragment()
        return before, (await session.client.status()).db_size

    before, after = run(_patient(options), verb)
    if options.json:
        print_json({"bytes_before": before, "bytes": after})
        return
    from c101.tui.ctl.kv_snapshot import si_bytes

    print_lines([f"{si_bytes(before)} before, {si_bytes(after)} after"])


@kv_command.command("compact")
@click.argument("revision", type=click.IntRange(1), required=False)
@click.option("--keep", type=click.IntRange(0), metavar="N", help="All but the last N revisions.")
@click.option("--physical", is_flag=True, help="Return when the old revisions are off the disk.")
@click.pass_obj
def compact_command(
    options: Options, *, revision: int | None, keep: int | None, physical: bool
) -> None:
    """Forget what was before REVISION: no read and no watch goes back further."""
    if (revision is None) == (keep is None):
        raise click.UsageError("give either a REVISION or --keep N")

    async def verb(session: Session) -> int | None:
        from c101.core.etcd.errors import CompactedError

        at = revision
        if keep is not None:
            at = (await session.client.status()).revision - keep
        assert at is not None
        try:
            if at > 0:
                await session.client.compact(at, physical=physical)
                return at
        except CompactedError:
            if keep is None:
                raise
        return None

    done = run(_patient(options) if physical else options, verb)
    if options.json:
        print_json({"compacted": done})
    else:
        print_lines([f"compacted revision {done}" if done else "nothing to compact"])


@kv_command.command("hash")
@click.option("--revision", type=click.IntRange(0), default=0, help="As it was at this revision.")
@click.pass_obj
def hash_command(options: Options, *, revision: int) -> None:
    """Print what the keys hash to: members, and copies, of one kind are equal or differ in data."""

    async def verb(session: Session) -> "KeyHash":
        return await session.client.maintenance.hash_kv(revision)

    found = run(_patient(options), verb)
    if options.json:
        print_json(
            {
                "hash": found.hash,
                "revision": found.revision,
                "compact_revision": found.compact_revision,
            }
        )
        return
    row = (str(found.hash), str(found.revision), str(found.compact_revision))
    print_table(("HASH", "REVISION", "COMPACTED"), [row], legend=True)


@kv_command.group("alarm", context_settings=HELP)
def alarm_command() -> None:
    """See and end the alarms of the KV."""


@alarm_command.command("list")
@click.pass_obj
def alarm_list_command(options: Options) -> None:
    """List the alarms that are raised."""

    async def verb(session: Session) -> "list[Alarm]":
        return await session.client.maintenance.alarms()

    _print_alarms(options, run(options, verb))


@alarm_command.command("disarm")
@click.pass_obj
def alarm_disarm_command(options: Options) -> None:
    """End all alarms, and list those that were ended; what caused them should be gone."""

    async def verb(session: Session) -> "list[Alarm]":
        return await session.client.maintenance.disarm_alarm()

    _print_alarms(options, run(options, verb))


def _print_alarms(options: Options, alarms: "list[Alarm]") -> None:
    if options.json:
        raised = [(format(one.member_id, "x"), one.kind.name) for one in alarms]
        print_json([{"member_id": member_id, "alarm": alarm} for member_id, alarm in raised])
    elif alarms:
        print_lines([f"memberID:{one.member_id} alarm:{one.kind.name}" for one in alarms])


@kv_command.command("check")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path), required=False)
@click.option("--data-dir", type=click.Path(path_type=Path), metavar="DIR", help="The same as DIR.")
@click.pass_obj
def check_command(options: Options, *, directory: Path | None, data_dir: Path | None) -> int:
    """Look at all of the data directory DIR of a KV, and say what is wrong with it.

    Nothing in it is changed; the KV may be running on it.
    """
    if (directory is None) == (data_dir is None):
        raise click.UsageError("give the data directory of a KV: kv check DIR")
    from c101.core.clock import SystemClock
    from c101.core.kv.check import check
    from c101.tui.ctl.progress import Progress

    where = directory or data_dir
    assert where is not None
    with Progress("checking", SystemClock(), shown=not options.json) as progress:
        report = check(where, progress)
    if options.json:
        print_json(_document(report))
    else:
        print_lines(_lines(where, report))
    return 1 if report.wrong else 0


def _document(report: "Report") -> dict[str, Any]:
    return {
        "ok": not report.wrong,
        "in_use": report.in_use,
        "revision": report.revision,
        "compact_revision": report.compact_revision,
        "changes": report.rows,
        "keys": report.keys,
        "leases": report.leases,
        "wrong": report.wrong,
        "findings": report.findings,
    }


def _lines(where: Path, report: "Report") -> list[str]:
    lines = list(report.findings)
    if report.wrong > len(report.findings):
        lines.append(f"and {report.wrong - len(report.findings)} more")
    found = f"{report.rows} changes, {report.keys} keys, {report.leases} leases"
    verdict = f"{report.wrong} things are wrong" if report.wrong else "nothing is wrong"
    if report.wrong == 1:
        verdict = "one thing is wrong"
    return [*lines, f"{where}: {found}, revision {report.revision}: {verdict}"]
