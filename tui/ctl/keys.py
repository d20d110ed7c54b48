"""Keys: ``get set ls rm watch``, as etcdctl had them."""

import asyncio
import contextlib
import signal
import sys
from typing import Any

import click

from c101.core.errors import ConflictError, InvalidNameError, NotFoundError
from c101.core.etcd.events import WatchEvent
from c101.core.etcd.txn import Put, create_revision, value
from c101.core.model.key_value import KeyValue
from c101.tui.ctl.output import print_json, say
from c101.tui.ctl.session import Options, Session, run
from c101.tui.render.sanitise import sanitise

raw_option = click.option("--raw", is_flag=True, help="Take the key as it is, without a slash.")
force_option = click.option("--force", is_flag=True, help="Write below the cluster's own prefix.")


def full_key(key: str, *, raw: bool) -> str:
    """Return the key that *key* means: ``services/db1`` is ``/services/db1``."""
    if not key:
        raise InvalidNameError("a key is not empty")
    return key if raw or key.startswith("/") else "/" + key


def _writable(key: str, options: Options, *, force: bool) -> None:
    if key.startswith(options.prefix) and not force:
        raise InvalidNameError(
            f"{key} is the cluster's own",
            hint="units and machines have verbs of their own; --force writes all the same",
        )


def document(kv: KeyValue) -> dict[str, Any]:
    """Return a key as JSON has it; a value that is not text is given in base64 by ``value_b64``."""
    found: dict[str, Any] = {"key": kv.key.decode("utf-8", "replace")}
    try:
        found["value"] = kv.value.decode()
    except UnicodeDecodeError:
        found["value_b64"] = kv.value
    found |= {
        "create_revision": kv.create_revision,
        "mod_revision": kv.mod_revision,
        "version": kv.version,
        "lease": format(kv.lease, "x") if kv.lease else None,
    }
    return found


def _write_value(data: bytes) -> None:
    """Print a value: to a terminal only what is harmless there, to a pipe byte for byte."""
    if sys.stdout.isatty():
        lines = [sanitise(line) for line in data.decode("utf-8", "replace").split("\n")]
        sys.stdout.write("\n".join(lines) + "\n")
    else:
        sys.stdout.buffer.write(data + b"\n")
    sys.stdout.flush()


@click.command("get")
@click.argument("key")
@click.option("--revision", type=int, default=0, help="As it was at this revision.")
@raw_option
@click.pass_obj
def get_command(options: Options, *, key: str, revision: int, raw: bool) -> None:
    """Print the value of KEY."""
    name = full_key(key, raw=raw)

    async def verb(session: Session) -> KeyValue | None:
        return await session.client.get(name, revision=revision)

    found = run(options, verb)
    if found is None:
        raise NotFoundError(f"{name}: no such key", hint="c101ctl ls lists what there is")
    if options.json:
        print_json(document(found))
    else:
        _write_value(found.value)


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
    data = sys.stdin.buffer.read() if new_value == "-" else new_value.encode()
    compare = []
    if if_absent:
        compare.append(create_revision(name).equals(0))
    if swap_with_value is not None:
        compare.append(value(name).equals(swap_with_value))

    async def write(session: Session, lease: int) -> None:
        result = await session.client.transaction(
            compare=compare, success=[Put(name, data, lease=lease)]
        )
        if not result.succeeded:
            what = "it is there already" if if_absent else "its value is another one"
            raise ConflictError(f"{name} was not written: {what}")

    async def verb(session: Session) -> None:
        if hold and ttl is not None:
            await _hold(session, write, ttl)
            return
        lease = (await session.client.lease(ttl)).id if ttl is not None else 0
        await write(session, lease)
        _report(options, name, data)

    run(options, verb)


def _report(options: Options, name: str, data: bytes) -> None:
    if options.json:
        print_json({"key": name, "value": data.decode("utf-8", "replace")})
    else:
        _write_value(data)


async def _hold(session: Session, write: Any, ttl: int) -> None:
    """Keep the key under a lease until told to stop; one that is lost is followed by another."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    while not stop.is_set():
        async with session.client.held_lease(ttl) as lease:
            await write(session, lease.id)
            say("held")
            await _either(stop, lease.lost)


async def _either(one: asyncio.Event, other: asyncio.Event) -> None:
    tasks = [asyncio.ensure_future(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@click.command("ls")
@click.argument("prefix", default="/")
@click.option("-r", "--recursive", is_flag=True, help="Whole keys, at any depth.")
@raw_option
@click.pass_obj
def ls_command(options: Options, *, prefix: str, recursive: bool, raw: bool) -> None:
    """List the keys below PREFIX."""
    name = full_key(prefix, raw=raw)
    below = name if name.endswith("/") or raw else name + "/"

    async def verb(session: Session) -> list[KeyValue]:
        return (await session.client.get_prefix(below, keys_only=True)).kvs

    found = run(options, verb)
    if not found and below != "/":
        raise NotFoundError(f"{below}: nothing is there")
    if options.json and recursive:
        print_json([document(kv) for kv in found])
        return
    names = [kv.key.decode("utf-8", "replace") for kv in found]
    if not recursive:
        names = list(dict.fromkeys(_child(one, below) for one in names))
    if options.json:
        print_json(names)
        return
    for one in names:
        sys.stdout.write(sanitise(one) + "\n")


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
        raise NotFoundError(f"{name}: no such key")
    if options.json:
        print_json({"deleted": deleted})
    elif recursive:
        say(f"{deleted} deleted")


@click.command("watch")
@click.argument("key")
@click.option("-r", "--recursive", is_flag=True, help="Everything that begins with KEY.")
@click.option("--revision", type=int, default=0, help="From this revision on.")
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


def _print_event(options: Options, event: WatchEvent) -> None:
    if options.json:
        print_json({"event": event.kind, **document(event.kv)})
        return
    shown = f" {event.kv.value.decode('utf-8', 'replace')}" if event.kind == "put" else ""
    key = event.kv.key.decode("utf-8", "replace")
    sys.stdout.write(sanitise(f"{event.kind} {key}{shown}") + "\n")
    sys.stdout.flush()
