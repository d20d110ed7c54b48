"""``hosts``: whose host keys are trusted."""

import asyncio
import os

import click

from c101.core.config import known_hosts_path
from c101.core.errors import NotFoundError
from c101.tui.ctl.output import print_json, print_table, say
from c101.tui.ctl.reaching import Trust, linked, parse_host, target_of
from c101.tui.ctl.session import Options

accept_option = click.option(
    "--accept-new", is_flag=True, help="Trust hosts that are unknown, without a question."
)


@click.group("hosts", context_settings={"help_option_names": ["-h", "--help"]})
def hosts_command() -> None:
    """Say whose host keys are trusted, besides those in ~/.ssh/known_hosts."""


@hosts_command.command("trust")
@click.argument("hosts", nargs=-1, required=True, metavar="[USER@]HOST[:PORT]...")
@accept_option
@click.pass_obj
def trust_command(options: Options, *, hosts: tuple[str, ...], accept_new: bool) -> None:
    """Connect to each host, show the key of one that is unknown, and keep it if you say so."""

    async def all_of_them() -> None:
        from c101.core.clock import SystemClock
        from c101.core.config import SshAccess

        trust = Trust(accept_new=accept_new)
        for host in hosts:
            async with linked(target_of(host, SshAccess()), trust, SystemClock()):
                if not options.json:
                    say(f"{host} is known")

    asyncio.run(all_of_them())
    if options.json:
        print_json({"trusted": list(hosts)})


@hosts_command.command("forget")
@click.argument("host", metavar="HOST[:PORT]")
@click.pass_obj
def forget_command(options: Options, *, host: str) -> None:
    """Trust the keys of HOST no more that `hosts trust` accepted."""
    from c101.agents.ssh.trust import forget, name_of

    _, name, port = parse_host(host)
    path = known_hosts_path(os.environ)
    count = forget(path, name_of(name, port))
    if not count:
        raise NotFoundError(f"{path} has no key of {host}", hint="c101ctl hosts list")
    if options.json:
        print_json({"forgotten": host, "keys": count})
    else:
        say(f"{host} is forgotten")


@hosts_command.command("list")
@click.pass_obj
def list_command(options: Options) -> None:
    """List the keys that `hosts trust` accepted."""
    from c101.agents.ssh.trust import remembered

    found = remembered(known_hosts_path(os.environ))
    if options.json:
        rows = [
            {"host": name, "type": key.key_type, "fingerprint": key.fingerprint}
            for name, key in found
        ]
        print_json(rows)
        return
    table = [(name, key.key_type, key.fingerprint) for name, key in found]
    print_table(("HOST", "TYPE", "FINGERPRINT"), table, legend=True)
