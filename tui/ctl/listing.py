"""What there is: ``list-units list-unit-files list-machines cat why``."""

from datetime import datetime

import click

from c101.core.model.cluster import ClusterState
from c101.core.scheduler.explain import why
from c101.tui.ctl.names import unit_name
from c101.tui.ctl.output import print_bytes, print_json, print_lines, print_table
from c101.tui.ctl.rows import machine_rows, unit_rows
from c101.tui.ctl.session import Options, Session, run
from c101.tui.render.humanise import age

legend_option = click.option("--no-legend", is_flag=True, help="Without the line of headings.")


def _snapshot(options: Options) -> tuple[ClusterState, float]:
    """Return the cluster, and the time it was read."""

    async def verb(session: Session) -> tuple[ClusterState, float]:
        return await session.registry.snapshot(), session.clock.time()

    return run(options, verb)


def _since(text: str | None, now: float) -> str:
    return age(max(0.0, now - datetime.fromisoformat(text).timestamp())) if text else "-"


@click.command("list-units")
@legend_option
@click.pass_obj
def list_units_command(options: Options, *, no_legend: bool) -> None:
    """List every unit, of a global unit every machine."""
    cluster, now = _snapshot(options)
    rows = unit_rows(cluster)
    if options.json:
        print_json(rows)
        return
    header = ("UNIT", "MACHINE", "TARGET", "ACTIVE", "SUB", "SINCE", "REASON")
    table = [
        (
            row["unit"],
            row["machine"] or "-",
            row["target"],
            row["active"],
            row["sub"],
            _since(row["since"], now),
            row["reason"] or "",
        )
        for row in rows
    ]
    print_table(header, table, legend=not no_legend)


@click.command("list-unit-files")
@legend_option
@click.pass_obj
def list_unit_files_command(options: Options, *, no_legend: bool) -> None:
    """List every unit file, its hash and its target state."""
    cluster, _ = _snapshot(options)
    units = [cluster.units[name] for name in sorted(cluster.units)]
    if options.json:
        print_json(
            [{"unit": unit.name, "hash": unit.hash, "target": unit.target.value} for unit in units]
        )
        return
    table = [(unit.name, unit.hash[:7], unit.target.value) for unit in units]
    print_table(("UNIT", "HASH", "TARGET"), table, legend=not no_legend)


@click.command("list-machines")
@legend_option
@click.pass_obj
def list_machines_command(options: Options, *, no_legend: bool) -> None:
    """List every machine that is known, those that are lost included."""
    cluster, now = _snapshot(options)
    rows = machine_rows(cluster)
    if options.json:
        print_json(rows)
        return
    header = ("NAME", "ID", "STATE", "UNITS", "ADDRESS", "LAST SEEN", "METADATA")
    table = [
        (
            row["name"],
            row["id"][:8],
            row["state"],
            str(row["units"]),
            row["addresses"][0] if row["addresses"] else "-",
            _since(row["last_seen"], now) if row["last_seen"] else "now",
            ",".join(f"{key}={value}" for key, value in row["metadata"].items()) or "-",
        )
        for row in rows
    ]
    print_table(header, table, legend=not no_legend)


@click.command("cat")
@click.argument("unit")
@click.pass_obj
def cat_command(options: Options, *, unit: str) -> None:
    """Print the file of UNIT as it was submitted."""
    name = unit_name(unit)

    async def verb(session: Session) -> str:
        return (await session.registry.unit(name)).text

    text = run(options, verb)
    if options.json:
        print_json({"unit": name, "text": text})
    else:
        print_bytes(text.encode())


@click.command("why")
@click.argument("unit")
@click.pass_obj
def why_command(options: Options, *, unit: str) -> None:
    """Say why UNIT is where it is, or nowhere, machine by machine."""
    name = unit_name(unit)
    cluster, _ = _snapshot(options)
    found = why(cluster, name)
    if not options.json:
        print_lines(found.lines())
        return
    print_json(
        {
            "unit": found.unit,
            "outcome": found.outcome.value,
            "summary": found.summary,
            "machine_id": found.machine_id,
            "constraints": [
                {"text": one.text, "satisfied": one.satisfied, "total": one.total}
                for one in found.constraints
            ],
            "machines": [
                {
                    "id": one.machine_id,
                    "name": one.machine,
                    "feasible": one.rejection is None,
                    "reason": str(one.rejection) if one.rejection is not None else None,
                    "said": one.said or None,
                }
                for one in found.verdicts
            ],
        }
    )
