"""The root of ``c101ctl``: global options, verbs by name, errors to exit statuses."""

import gc
import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType

import click

from c101 import __version__
from c101.core.client_flags import kv_tls_flags
from c101.core.errors import C101Error
from c101.core.kv_tls import KvTls
from c101.tui.ctl.output import print_error
from c101.tui.ctl.session import Options

#: The exit status that a shell gives to who was ended by SIGINT.
INTERRUPTED = 130

#: Objects made between two collections. What is imported stays: to look at it again and again only
#: makes every command slower. A verb that follows something is still collected after.
YOUNG_OBJECTS_MAX = 50_000

#: Every verb: the module that holds it, and its line of help. The module is imported when called.
VERBS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "get": ("keys", "Print the value of a key."),
        "set": ("keys", "Write a key."),
        "ls": ("keys", "List keys."),
        "rm": ("keys", "Delete a key, or with -r all below it."),
        "watch": ("keys", "Print changes of a key as they happen."),
        "secret": ("secrets", "Keep values that units are given, and nobody else reads."),
        "submit": ("units", "Make unit files known to the cluster."),
        "load": ("units", "Have units placed and loaded."),
        "start": ("units", "Have units running."),
        "stop": ("units", "Have units stopped, and kept loaded."),
        "restart": ("units", "Stop and start units once."),
        "unload": ("units", "Have units stopped and placed nowhere."),
        "destroy": ("units", "Stop units and forget their files."),
        "cat": ("listing", "Print a unit's file."),
        "status": ("status", "Say how a unit fares where it runs."),
        "journal": ("journal", "Print what units have written."),
        "why": ("listing", "Say why a unit is where it is, or nowhere."),
        "list-units": ("listing", "List units and their states."),
        "list-unit-files": ("listing", "List unit files and their targets."),
        "list-machines": ("listing", "List machines."),
        "list-containers": ("containers", "List containers and whose units they are."),
        "exec": ("containers", "Run a command, or a shell, in a container."),
        "run": ("containers", "Run a command once on machines."),
        "init": ("init", "Make a host the first machine of a cluster."),
        "machines": ("machines", "Make hosts machines of the cluster, or take them out."),
        "hosts": ("hosts", "Say whose host keys are trusted."),
        "kv": ("kv", "Keep the KV in order: snapshots, space, alarms, checks."),
        "local": ("local", "Run a whole cluster on this computer."),
        "completion": ("completion", "Print the completion script of a shell."),
    }
)


class LazyGroup(click.Group):
    """A group whose verbs are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every verb, in the order of the table."""
        return [*super().list_commands(ctx), *VERBS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and return it."""
        if cmd_name not in VERBS:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"c101.tui.ctl.{VERBS[cmd_name][0]}")
        command = getattr(module, cmd_name.replace("-", "_") + "_command")
        assert isinstance(command, click.Command)
        return _with_output(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the table, without importing anything."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


OUTPUT = click.Choice(["text", "json"])


def _with_output(command: click.Command) -> click.Command:
    """Have *command* take ``-o`` too: ``list-units -o json`` is ``-o json list-units``."""
    if isinstance(command, click.Group):
        for one in command.commands.values():
            _with_output(one)
    elif all(one.name != "output" for one in command.params):
        command.params.append(
            click.Option(["-o", "--output"], type=OUTPUT, expose_value=False, callback=_output)
        )
    return command


def _output(context: click.Context, _: click.Parameter, output: str | None) -> None:
    if output is not None:
        context.obj = replace(context.obj, json=output == "json")


def _prefix(_: click.Context, __: click.Parameter, prefix: str) -> str:
    if not (prefix.startswith("/") and prefix.endswith("/")):
        raise click.BadParameter(f"{prefix!r} does not begin and end with a slash")
    return prefix


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="c101ctl")
@click.option("--kv", metavar="URL", help="Endpoints of the KV, comma-separated. [env: C101_KV]")
@click.option("--cluster", metavar="NAME", help="Which cluster is meant. [env: C101_CLUSTER]")
@kv_tls_flags
@click.option("-o", "--output", type=OUTPUT, default="text", show_default=True)
@click.option(
    "--prefix",
    default="/c101/",
    show_default=True,
    callback=_prefix,
    help="Prefix of the cluster's keys.",
)
@click.option(
    "--request-timeout",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the KV may take for an answer.",
)
@click.pass_context
def root(
    context: click.Context,
    *,
    kv: str | None,
    cluster: str | None,
    output: str,
    prefix: str,
    request_timeout: float,
    kv_tls: KvTls,
) -> None:
    """Run a cluster of Linux machines: its keys, units, journals and machines."""
    context.obj = Options(
        kv=kv,
        cluster=cluster,
        json=output == "json",
        prefix=prefix,
        timeout_seconds=request_timeout,
        tls=kv_tls,
    )


def main() -> None:
    """Run ``c101ctl``; ends the process with its exit status."""
    gc.set_threshold(YOUNG_OBJECTS_MAX)
    json = _wants_json(sys.argv[1:])
    try:
        sys.exit(_run(json=json))
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _give_up_output()
        sys.exit(1)


def _run(*, json: bool) -> int:
    """Run the verb and return the exit status; every known failure is one message."""
    try:
        status = root.main(standalone_mode=False, prog_name="c101ctl")
    except click.ClickException as error:
        if json:
            print_error("usage", error.format_message(), None, json=True)
        else:
            error.show()
        return error.exit_code
    except C101Error as error:
        return _report(error, json=json)
    except BaseExceptionGroup as group:
        return _report(_only_error(group), json=json)
    except BrokenPipeError:
        raise
    except OSError as error:
        # What files and sockets refuse is mapped where they are opened; this is the output.
        return _report(C101Error(error.strerror or str(error)), json=json)
    return status if isinstance(status, int) else 0


def _report(error: C101Error, *, json: bool) -> int:
    print_error(error.code, str(error), error.hint, json=json)
    return error.exit_status


def _only_error(group: BaseExceptionGroup[BaseException]) -> C101Error:
    """Return the known error in *group*; anything else is raised as it is."""
    for error in group.exceptions:
        if isinstance(error, C101Error):
            return error
        if isinstance(error, BaseExceptionGroup):
            return _only_error(error)
        if isinstance(error, BrokenPipeError):
            raise error
    raise group


def _give_up_output() -> None:
    """Have what is left in the buffers go nowhere: whoever read us has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _wants_json(arguments: list[str]) -> bool:
    """Say whether ``-o json`` was asked for, in a form that holds where parsing failed too."""
    return any(
        (word in {"-o", "--output"} and after == "json") or word in {"-ojson", "--output=json"}
        for word, after in pairwise([*arguments, ""])
    )


if __name__ == "__main__":
    main()
