"""``local``: a whole cluster on this computer."""

import asyncio
import os
import sys
from pathlib import Path

import click

from c101.agents.local import cli
from c101.agents.local.settings import MACHINES_DEFAULT, MACHINES_MAX
from c101.core.config import local_clusters
from c101.tui.ctl.output import print_json, print_table, say
from c101.tui.ctl.session import Options


def default_dir() -> Path:
    """Return where a cluster is made when nobody says where."""
    base = os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser()
    return Path(base) / "c101" / "local"


dir_option = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    help="Where it lies. [default: the one running, else ~/.local/share/c101/local]",
)
output_option = click.option("-o", "--output", type=click.Choice(["text", "json"]))


def _directory(directory: Path | None) -> Path:
    """Return the directory that is meant: the one named, or of the cluster started last."""
    if directory is not None:
        return directory
    for _, local in local_clusters(os.environ):
        if local.dir:
            return Path(local.dir)
    return default_dir()


@click.group("local", context_settings={"help_option_names": ["-h", "--help"]})
def local_command() -> None:
    """Run a whole cluster on this computer: KV, engine and machines, under one directory."""


@local_command.command("up")
@click.option(
    "--machines",
    type=click.IntRange(1, MACHINES_MAX),
    help=f"How many.  [default: as many as it has, {MACHINES_DEFAULT} when it is made]",
)
@click.option("--kv-port", type=click.IntRange(1, 65_535), help="Of the KV's HTTP endpoint.")
@dir_option
@output_option
@click.pass_obj
def up_command(
    options: Options,
    *,
    machines: int | None,
    kv_port: int | None,
    directory: Path | None,
    output: str | None,
) -> None:
    """Start it, and return when every machine has joined; what runs already is left alone."""
    say("starting …")
    document = asyncio.run(cli.up(_directory(directory), machines=machines, kv_port=kv_port))
    _print(options, document, output)


@local_command.command("status")
@dir_option
@output_option
@click.pass_obj
def status_command(options: Options, *, directory: Path | None, output: str | None) -> None:
    """Print the endpoints and processes of the cluster."""
    _print(options, asyncio.run(cli.status(_directory(directory))), output)


@local_command.command("down")
@dir_option
@click.pass_obj
def down_command(options: Options, *, directory: Path | None) -> None:
    """End it; its data stays."""
    document = asyncio.run(cli.down(_directory(directory)))
    if options.json:
        print_json({"dir": document["dir"], "result": "down"})
    else:
        say(f"{document['name']} is down; its data stays in {document['dir']}")


@local_command.command("kill")
@click.argument("what")
@click.option("--agent-only", is_flag=True, help="Kill the agent; its units go on.")
@dir_option
@click.pass_obj
def kill_command(options: Options, *, what: str, agent_only: bool, directory: Path | None) -> None:
    """Cut the power of machine WHAT, or kill kv or engine, until `local start`."""
    asyncio.run(cli.kill(_directory(directory), what, agent_only=agent_only))
    if options.json:
        print_json({"killed": what, "agent_only": agent_only})
    elif agent_only:
        say(f"the agent of {what} was killed; another one takes over")
    else:
        say(f"{what} is off; `c101ctl local start {what}` brings it back")


@local_command.command("start")
@click.argument("what")
@dir_option
@click.pass_obj
def start_command(options: Options, *, what: str, directory: Path | None) -> None:
    """Bring back what `local kill` took down."""
    asyncio.run(cli.start(_directory(directory), what))
    if options.json:
        print_json({"started": what})
    else:
        say(f"{what} is on")


def _print(options: Options, document: cli.Document, output: str | None) -> None:
    if output == "json" or (output is None and options.json):
        print_json(document)
        return
    kv, ssh = document["kv"], document["ssh"]
    rows = [
        ("cluster", f"{document['name']} in {document['dir']}"),
        ("etcdctl", f"etcdctl --endpoints {kv['http']} endpoint status"),
        ("c101ctl", f"c101ctl --cluster {document['name']} list-machines"),
        ("console", f"c101-console --cluster {document['name']}"),
        ("ssh", f"-i {ssh['identity']} -o UserKnownHostsFile={ssh['known_hosts']}"),
    ]
    for machine in document["machines"]:
        where = f"ssh -p {machine['ssh_port']} {ssh['user']}@{machine['ssh_host']}"
        power = "" if machine["power"] == "on" else "  (off)"
        rows.append((machine["name"], where + power))
    print_table(("", ""), rows, legend=False)
    sys.stdout.flush()
