"""``c101-console``: which cluster, then the screen. Textual is loaded when it is needed."""

import gc
import sys
from typing import TYPE_CHECKING

import click

from c101.core.client_flags import kv_tls_flags
from c101.core.errors import C101Error, ConfigError
from c101.core.kv_tls import KvTls

if TYPE_CHECKING:
    from c101.tui.feeds.access import ClusterAccess

DEMO_MACHINES = 3


@click.group(invoke_without_command=True)
@click.option(
    "--kv", metavar="URL", help="Endpoints of the KV: ssh://USER@HOST/kv-admin, or etcd's."
)
@click.option("--cluster", metavar="NAME", help="A cluster by name.")
@kv_tls_flags
@click.option("--theme", type=click.Choice(["dark", "light"]), default="dark")
@click.pass_context
def root(
    context: click.Context, kv: str | None, cluster: str | None, theme: str, kv_tls: KvTls
) -> None:
    """Show a cluster, live: its units, machines, keys and journals.

    Without a name: the one configured or running here, else a new one of one machine, which goes on
    running until ``c101ctl local down``.
    """
    context.obj = theme
    if context.invoked_subcommand is None:
        _need_terminal()
        from c101.tui.feeds import openers  # noqa: PLC0415 - asyncio

        context.exit(show(openers.named(kv, cluster, kv_tls), theme))


@root.command()
@click.pass_obj
def demo(theme: str) -> None:
    """Run a three-machine cluster with an application on it, here, until the console ends."""
    _need_terminal()
    from c101.agents.local.spawn import spawn_throw_away  # noqa: PLC0415 - for the demo alone

    # Before all else: on a second processor it comes up while this one loads the screen.
    started = spawn_throw_away("demo", DEMO_MACHINES)
    from c101.tui.feeds import openers  # noqa: PLC0415 - asyncio

    sys.exit(show(openers.demo(started), theme))


def show(access: "ClusterAccess", theme: str) -> int:
    """Run the console on *access*; return its exit status."""
    from c101.tui.app import ConsoleApp, Settings  # noqa: PLC0415 - first the flags, then Textual

    app = ConsoleApp(access, settings=Settings(theme=f"c101-{theme}"))
    status = app.run()
    if app.problem:
        click.echo(f"c101-console: {app.problem}", err=True)
    return status if status is not None else app.return_code or 0


def _need_terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError("needs a terminal (c101ctl is for scripts)")


def main() -> None:
    """Run ``c101-console``; ends the process with its exit status."""
    # Until the first picture (``ConsoleApp``) nearly all that is made stays: code, styles, widgets.
    gc.disable()
    try:
        root.main(prog_name="c101-console")
    except C101Error as error:
        hint = f" ({error.hint})" if error.hint else ""
        click.echo(f"c101-console: {error}{hint}", err=True)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
