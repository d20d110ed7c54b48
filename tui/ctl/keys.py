"""Keys: ``get set ls rm watch``, as etcdctl had them."""

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from c101.core.errors import ConflictError, InvalidNameError, NotFoundError
from c101.tui.ctl.output import print_bytes, print_json, print_lines
from c101.tui.ctl.session import Options, Session, run

if TYPE_CHECKING:
    from c101.core.etcd.events import WatchEvent
    from c101.core.model.key_value import KeyValue

raw_option = click.option("--raw", is_flag=True, help="Take the key as it is, without a slash.")
force_option = click.option("--force", is_flag=True, help="Write below the cluster's own prefix.")


def full_key(key: str, *, raw: bool) -> str:
    """Return the key that *key* means: ``services/db1`` is ``/services/db1``."""
    if not key:
        raise InvalidNameError("a key is not empty")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise InvalidNameError(f"a key is text in UTF-8, unlike {key!r}") from error
    return key if raw or key.startswith("/") else "/" + key


def _writable(key: str, options: Options, *, force: bool) -> None:
    if key.startswith(options.prefix) and not force:
        raise InvalidNameError(
            f"{key} is the cluster's own",
            hint="units and machines have verbs of their own; --force writes all the same",
        )


def document(kv: "KeyValue") -> dict[str, Any]:
    """Return a key as JSON has it; a value that is not text is given in base64 by ``value_b64``."""
    return {
        "key": kv.key.decode("utf-8", "replace"),
        **_value(kv.value),
        "create_revision": kv.create_revision,
        "mod_revision": kv.mod_revision,
        "version": kv.version,
        "lease": format(kv.lease, "x") if kv.lease else None,
    }


def _value(data: bytes) -> dict[str, Any]:
    try:
        return {"value": data.decode()}
    except UnicodeDecodeError:
        return {"value_b64": data}


@click.command("get")
@click.argument("key")
@click.option("--revision", type=click.IntRange(0), default=0, help="As it was at this revision.")
@raw_option
@click.pass_obj
def get_command(options: Options, *, key: str, revision: int, raw: bool) -> None:
    """Print the value of KEY."""
    name = full_key(key, raw=raw)

    async def verb(session: Session) -> "KeyValue | None":
        return await session.client.get(name, revision=revision)

    found = run(options, verb)
    if found is None:
        raise NotFoundError(f"{name}: no such key", hint="c101ctl ls lists what there is")
    if options.json:
        print_json(document(found))
    else:
        print_bytes(found.value + b"\n")


@click.command("set")
@click.argument("key")
@click.argument("new_value", metavar="[VALUE]", default="-")
@click.option("--ttl", type=click.IntRange(1), help="Seconds after which the key goes away.")
@click.option("--hold", is_flag=True, help="Keep it as long as this runs, and delete it then.")
@click.option("--if-absent", is_flag=True, help="Only where the key is not there.")
@click.option("--swap-with-value", metavar="OLD", help="Only where the value is OLD.")
@raw_option
@force_option
@click.pass_obj
def set_command(
    options: Options,
    *,
    key: str,
    new_value: str,
    ttl: int | None,
    hold: bool,
    if_absent: bool,
    swap_with_value: str | None,
    raw: bool,
    force: bool,
) -> None:
    """Write VALUE (standard input where it is - or left out) to KEY."""
    name = full_key(key, raw=raw)
    _writable(name, options, force=force)
    if hold and ttl is None:
        raise click.UsageError("--hold needs --ttl: how long the key may outlive a lost machine")
    if if_absent and swap_with_value is not None:
        raise click.UsageError("--if-absent and --swap-with-value exclude each other")
    data = sys.stdin.buffer.read() if new_value == "-" else os.fsencode(new_value)

    async def write(session: Session, lease: int) -> None:
        await _write(session, name, data, lease, if_absent=if_absent, old=swap_with_value)

    async def verb(session: Session) -> None:
        if hold and ttl is not None:
            from c101.tui.ctl.holding import hold as keep

            await keep(session, write, ttl)
            return
        lease = (await session.client.lease(ttl)).id if ttl is not None else 0
        await write(session, lease)

    run(options, verb)
    if not hold:
        _report(options, name, data)


async def _write(
    session: Session, name: str, data: bytes, lease: int, *, if_absent: bool, old: str | None
) -> None:
    """Write the key where what is asked of it holds. Raises ConflictError."""
    if not if_absent and old is None:
        await session.client.put(name, data, lease=lease)
        return
    from c101.core.etcd import txn

    compare = txn.create_revision(name).equals(0)
    if old is not None:
        compare = txn.value(name).equals(os.fsencode(old))
    put = txn.Put(name, data, lease=lease)
    result = await session.client.transaction(compare=[compare], success=[put])
    if not result.succeeded:
        what = "it is there already" if if_absent else "its value is another one"
        raise ConflictError(
            f"{name} was not written: {what}", hint=f"c101ctl get {name} shows what is there"
        )


def _report(options: Options, name: str, data: bytes) -> None:
    if options.json:
        print_json({"key": name, **_value(data)})
    else:
        print_bytes(data + b"\n")


@click.command("ls")
@click.argument("prefix", default="/")
@click.option("-r", "--recursive", is_flag=True, help="Whole keys, at any depth.")
@raw_option
@click.pass_obj
def ls_command(options: Options, *, prefix: str, recursive: bool, raw: bool) -> None:
    """List the keys below PREFIX."""
    name = full_key(prefix, raw=raw) if prefix else prefix
    below = name if name.endswith("/") or raw else name + "/"
    whole = options.json and recursive

    async def verb(session: Session) -> "list[KeyValue]":
        return (await session.client.get_prefix(below, keys_only=not whole)).kvs

    found = run(options, verb)
    if not found and below != "/":
        raise NotFoundError(f"{below}: nothing is there", hint="c101ctl ls / lists what there is")
    if whole:
        print_json([document(kv) for kv in found])
        return
    names = [kv.key.decode("utf-8", "replace") for kv in found]
    if not recursive:
        names = list(dict.fromkeys(_child(one, below) for one in names))
    if options.json:
        print_json(names)
        return
    if names:
        print_lines(names)


def _child(key: str, below: str) -> str:
    """Return the entry right below *below* that *key* lies in; a directory ends with a slash."""
    head, slash, _ = key[len(below) :].partition("/")
    return below + head + slash


@click.command("rm")
@click.argument("key")
@click.option("-r", "--recursive", is_flag=True, help="Everything below KEY.")
@raw_option
@force_option
@click.pass_obj
def rm_command(options: Options, *, key: str, recursive: bool, raw: bool, force: bool) -> None:
    """Delete KEY."""
    name = full_key(key, raw=raw)
    if recursive and not raw and not name.endswith("/"):
        name += "/"
    _writable(name, options, force=force)
    if recursive and options.prefix.startswith(name) and not force:
        raise InvalidNameError(
            f"{name} holds the cluster's own keys", hint="--force deletes them all the same"
        )

    async def verb(session: Session) -> int:
        if recursive:
            return await session.client.delete_prefix(name)
        return int(await session.client.delete(name))

    deleted = run(options, verb)
    if not deleted:
        hint = f"c101ctl ls {name} lists what is there, if it is a directory"
        raise NotFoundError(f"{name}: no such key", hint=None if recursive else hint)
    if options.json:
        print_json({"deleted": deleted})


@click.command("watch")
@click.argument("key")
@click.option("-r", "--recursive", is_flag=True, help="Everything that begins with KEY.")
@click.option("--revision", type=click.IntRange(0), default=0, help="From this revision on.")
@raw_option
@click.pass_obj
def watch_command(options: Options, *, key: str, recursive: bool, revision: int, raw: bool) -> None:
    """Print every change of KEY, until interrupted."""
    name = full_key(key, raw=raw)

    async def verb(session: Session) -> None:
        client = session.client
        watch = client.watch_prefix if recursive else client.watch
        async with watch(name, start_revision=revision) as batches:
            async for batch in batches:
                for event in batch.events:
                    _print_event(options, event)

    run(options, verb)


def _print_event(options: Options, event: "WatchEvent") -> None:
    if options.json:
        print_json({"event": event.kind, **document(event.kv)})
        return
    shown = f" {event.kv.value.decode('utf-8', 'replace')}" if event.kind == "put" else ""
    key = event.kv.key.decode("utf-8", "replace")
    print_lines([f"{event.kind} {key}{shown}"])
