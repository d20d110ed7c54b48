"""``secret``: values that units are given as credentials, and nobody else reads."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from c101.core.errors import ConfigError, NotFoundError
from c101.tui.ctl.output import print_json, print_lines, print_table, say
from c101.tui.ctl.session import Options, Session, run

if TYPE_CHECKING:
    from c101.core.model.cluster import ClusterState

#: A credential may be a mebibyte (systemd: CREDENTIAL_SIZE_MAX), a request of the KV little more.
BYTES_MAX = 1 << 20


@click.group("secret", context_settings={"help_option_names": ["-h", "--help"]})
def secret_command() -> None:
    """Keep values that units are given as credentials, and nobody else reads."""


@secret_command.command("set")
@click.argument("name")
@click.option(
    "--file", "path", type=click.Path(path_type=Path, dir_okay=False), help="- is standard input."
)
@click.pass_obj
def set_command(options: Options, *, name: str, path: Path | None) -> None:
    """Keep a value as NAME: from standard input, a file, or typed unseen.

    A unit that says Secret=NAME in [X-C101] finds it in $CREDENTIALS_DIRECTORY/NAME from its next
    start on.
    """
    _check(name)
    value = _value(name, path)
    if not value:
        raise ConfigError("nothing was given: a secret has at least one byte")
    if len(value) > BYTES_MAX:
        raise ConfigError(f"it has {len(value)} bytes: a credential has at most {BYTES_MAX}")

    async def verb(session: Session) -> None:
        await session.client.put(session.keyspace.secret(name), value)

    run(options, verb)
    if options.json:
        print_json({"name": name, "bytes": len(value)})
    else:
        say(f"{name} is kept, {len(value)} bytes; a unit that names it has it from its next start")


@secret_command.command("list")
@click.pass_obj
def list_command(options: Options) -> None:
    """List the secrets, without their values, and the units that name them."""

    async def verb(session: Session) -> "tuple[list[str], ClusterState]":
        below = session.keyspace.secrets
        found = await session.client.get_prefix(below, keys_only=True)
        names = [kv.key.decode("utf-8", "replace")[len(below) :] for kv in found.kvs]
        return names, await session.registry.snapshot()

    kept, cluster = run(options, verb)
    users = _users(cluster)
    rows = {name: users.get(name, []) for name in sorted({*kept, *users})}
    if options.json:
        print_json(
            [{"name": name, "kept": name in kept, "units": units} for name, units in rows.items()]
        )
        return
    table = [
        (name, "yes" if name in kept else "no", ", ".join(units) or "-")
        for name, units in rows.items()
    ]
    print_table(("SECRET", "KEPT", "UNITS"), table, legend=True)


@secret_command.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def rm_command(options: Options, *, names: tuple[str, ...]) -> None:
    """Forget secrets. Units that run keep what they have until they stop."""
    for name in names:
        _check(name)

    async def verb(session: Session) -> list[str]:
        return [
            name for name in names if await session.client.delete(session.keyspace.secret(name))
        ]

    gone = run(options, verb)
    if missing := [name for name in names if name not in gone]:
        raise NotFoundError(f"no secret is called {missing[0]}", hint="c101ctl secret list")
    if options.json:
        print_json({"removed": gone})
    else:
        print_lines([f"{name} is forgotten" for name in gone])


def _check(name: str) -> None:
    from c101.core.units.requirements import CREDENTIAL, CREDENTIAL_HINT

    if not CREDENTIAL.fullmatch(name):
        raise ConfigError(f"not a secret's name: {name[:80]!r}", hint=CREDENTIAL_HINT)


def _value(name: str, path: Path | None) -> bytes:
    if path is not None and str(path) != "-":
        try:
            return path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
    if path is None and sys.stdin.isatty():
        typed: str = click.prompt(name, hide_input=True, confirmation_prompt=True, err=True)
        return typed.encode()
    return sys.stdin.buffer.read()


def _users(cluster: "ClusterState") -> dict[str, list[str]]:
    """Return which units name which secret."""
    from c101.core.units.requirements import Requirements

    users: dict[str, list[str]] = {}
    for unit in cluster.units.values():
        if "Secret" not in unit.text:
            continue
        for name in Requirements.of_known(unit.name, unit.text).secrets:
            users.setdefault(name, []).append(unit.name)
    return {name: sorted(units) for name, units in users.items()}
