"""``kv roles``: the cluster's roles as users and roles of the etcd."""

from typing import TYPE_CHECKING

import click

from c101.core.errors import ConfigError
from c101.tui.ctl.output import print_json, print_table, say
from c101.tui.ctl.session import Options, Session, run

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from c101.core.etcd.auth import Auth, Permission
    from c101.core.registry.etcd_roles import Change


@click.command("roles")
@click.option("--dry-run", is_flag=True, help="Say what would be done, do nothing.")
@click.option("--enable", is_flag=True, help="Then have the etcd ask everybody for a name.")
@click.pass_obj
def roles_command(options: Options, *, dry_run: bool, enable: bool) -> None:
    """Make the cluster's roles users and roles of the etcd.

    Who shows the etcd itself a certificate of the name c101-viewer, c101-operator or
    c101-agent-MACHINE may then do what that role may; root may do everything. Do it again when
    units or machines came: an etcd permits them key by key. The sockets of a machine, and keys of
    SSH, need none of this.
    """
    if enable:
        _check_name(options)

    async def verb(session: Session) -> "list[Change]":
        steps = await _plan(session)
        if not dry_run:
            for number, step in enumerate(steps, 1):
                await _take(session.client.auth, step)
                if not number % 100:
                    session.tell(f"{number} of {len(steps)} changes …")
            if enable:
                await session.client.auth.enable()
        return steps

    steps = run(options, verb)
    if options.json:
        print_json(
            {
                "changes": [_as_json(step) for step in steps],
                "done": not dry_run,
                "enabled": enable and not dry_run,
            }
        )
        return
    print_table(("CHANGE", "ROLE", "KEYS"), [_row(step) for step in steps], legend=bool(steps))
    if dry_run:
        say(f"{len(steps)} changes; nothing was done")
    elif enable:
        say("everybody who comes to the etcd itself has to show a name from now on")
    else:
        say("users and roles are as they should be; --enable has the etcd ask for them")


def _check_name(options: Options) -> None:
    """Refuse to have names asked for by somebody who has none: nobody could undo it."""
    hint = "--kv https://… with --kv-cert and --kv-key of root; or by a machine's admin socket"
    endpoints = options.endpoints()
    if "https://" in endpoints:
        name = _common_name(options.address().tls.cert_file)
    else:
        name = "" if "http://" in endpoints else "root"
    if name != "root":
        told = f"not {name!r}" if name else "not without one"
        raise ConfigError(f"who enables it has to come with the name root, {told}", hint=hint)


def _common_name(cert_file: str) -> str:
    from pathlib import Path

    from cryptography import x509
    from cryptography.x509.oid import NameOID

    if not cert_file:
        return ""
    try:
        certificate = x509.load_pem_x509_certificate(Path(cert_file).read_bytes())
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{cert_file}: {exc}") from exc
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


async def _plan(session: Session) -> "list[Change]":
    from c101.core.registry.etcd_roles import changes, wanted_roles

    cluster = await session.registry.snapshot()
    auth = session.client.auth
    found: Mapping[str, Collection[Permission]] = {
        role: await auth.permissions(role) for role in await auth.roles()
    }
    users = {user: await auth.user_roles(user) for user in await auth.users()}
    wanted = wanted_roles(session.keyspace, sorted(cluster.units), sorted(cluster.machines))
    return changes(wanted, {role: list(some) for role, some in found.items()}, users)


async def _take(auth: "Auth", step: "Change") -> None:
    permission = step.permission
    if permission is not None:
        place = (step.role, permission.key, permission.range_end)
        if step.verb == "revoke":
            await auth.revoke(*place)
        else:
            await auth.grant(step.role, permission.access, permission.key, permission.range_end)
        return
    match step.verb:
        case "add role":
            await auth.add_role(step.role)
        case "add user":
            # Only a certificate can name it.
            await auth.add_user(step.role, None)
        case "give role":
            await auth.grant_role(step.role, step.role)
        case "delete user":
            await auth.delete_user(step.role)
        case "delete role":
            await auth.delete_role(step.role)
        case _:
            raise AssertionError(step)


def _row(step: "Change") -> tuple[str, str, str]:
    permission = step.permission
    if permission is None:
        return step.verb, step.role, "-"
    return (
        f"{step.verb} {permission.access.name.lower()}",
        step.role,
        _shown(permission.key, permission.range_end),
    )


def _shown(key: bytes, range_end: bytes) -> str:
    first = key.decode("utf-8", "replace") if key != b"\0" else "the first"
    if not range_end:
        return first
    last = "the last" if range_end == b"\0" else f"before {range_end.decode('utf-8', 'replace')}"
    return f"{first} to {last}"


def _as_json(step: "Change") -> dict[str, str]:
    told = {"change": step.verb, "role": step.role}
    if step.permission is not None:
        told |= {
            "access": step.permission.access.name.lower(),
            "key": step.permission.key.decode("utf-8", "replace"),
            "range_end": step.permission.range_end.decode("utf-8", "replace"),
        }
    return told
