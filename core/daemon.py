"""c101-core: the composition root of the KV and of the engine, two processes.

Heavy imports stay inside the subcommands: ``--stdio`` is started for every connection over SSH.
"""

import os
import re
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from c101.core.client_flags import kv_tls_flags
from c101.core.errors import C101Error, ConfigError
from c101.core.kv_tls import KvTls
from c101.core.kvserver.options import KvOptions, kv_flags
from c101.core.listen import Listen, TlsFlags, parse_listen, tls_flags

if TYPE_CHECKING:
    import asyncio

    from c101.core.registry.keyspace import Keyspace
    from c101.core.role_sockets import Listeners

_CHUNK_BYTES = 65_536
#: Where the sockets of a host's KV are.
SYSTEM_SOCKETS = Path("/run/c101")
#: Of an engine: a third of what others get where all processors are busy, and that is enough.
ENGINE_NICE = 5


@click.group(invoke_without_command=True)
@click.option("--stdio", metavar="ROLE", help="Relay standard input and output to ROLE's socket.")
@click.option("--socket-dir", type=click.Path(path_type=Path), help="Where the sockets are.")
@click.pass_context
def cli(context: click.Context, stdio: str | None, socket_dir: Path | None) -> None:
    """The KV and the scheduler of a c101 cluster."""
    if stdio is not None:
        name = f"kv-{_role(stdio)}.sock"
        own = _socket_directory() / name
        # A host's KV is root's, who may open a socket of it says its group.
        found = own if own.exists() else SYSTEM_SOCKETS / name
        relay(socket_dir / name if socket_dir else found)
    elif context.invoked_subcommand is None:
        click.echo(context.get_help())
        context.exit(2)


@cli.command()
@click.option("--data-dir", type=click.Path(path_type=Path), required=True, metavar="DIR")
@click.option("--listen", multiple=True, metavar="URL", help="http(s)://ADDRESS:PORT")
@click.option("--socket-dir", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--role-sockets",
    is_flag=True,
    help="There, serve viewers, operators and each machine's agent by sockets of their own.",
)
@click.option("--prefix", default="/c101/", show_default=True, help="Of the cluster's keys.")
@tls_flags
@kv_flags
def kv(
    *,
    data_dir: Path,
    listen: Sequence[str],
    socket_dir: Path | None,
    role_sockets: bool,
    prefix: str,
    tls: TlsFlags,
    **flags: Any,
) -> None:
    """Serve the KV: etcd's v3 API on the data in DIR.

    Plain TCP is served on loopback only; other addresses take TLS and client certificates.
    """
    options = KvOptions.of_flags(**flags)
    tls.check(listen)
    addresses = [parse_listen(url, tls) for url in listen]
    if not addresses and socket_dir is None:
        raise ConfigError("nothing to listen on", hint="give --listen URL or --socket-dir DIR")
    if role_sockets and socket_dir is None:
        raise ConfigError("--role-sockets: they are made in --socket-dir DIR")
    import uvloop  # noqa: PLC0415

    from c101.core import log  # noqa: PLC0415

    log.configure(level=os.environ.get("C101_LOG_LEVEL", "info"))
    if socket_dir is not None:
        socket_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    keyspace = _keyspace(prefix) if role_sockets else None
    sys.exit(uvloop.run(_serve_kv(data_dir, addresses, socket_dir, tls, options, keyspace)))


async def _serve_kv(
    data_dir: Path,
    addresses: Sequence[Listen],
    socket_dir: Path | None,
    tls: TlsFlags,
    options: KvOptions,
    keyspace: "Keyspace | None",
) -> int:
    import asyncio  # noqa: PLC0415
    import logging  # noqa: PLC0415

    from c101.core.clock import SystemClock  # noqa: PLC0415
    from c101.core.kvserver.collection import tune_interpreter  # noqa: PLC0415
    from c101.core.kvserver.server import ADMIN_SOCKET, KvServer  # noqa: PLC0415
    from c101.core.notify import notify  # noqa: PLC0415
    from c101.core.socket_group import ADMIN, give_to_group, role_group  # noqa: PLC0415

    stop = _told_to_stop()
    async with KvServer(data_dir, SystemClock(), options) as server:
        for address in addresses:
            files = tls.files() if address.secure else None
            await server.listen_tcp(address.host, address.port, files)
        roles = None
        if socket_dir is not None:
            await server.listen_unix(socket_dir / ADMIN_SOCKET)
            if keyspace is not None:
                give_to_group(socket_dir / ADMIN_SOCKET, role_group(ADMIN))
                roles = await _serve_roles(server, socket_dir, keyspace)
        tune_interpreter()
        for url in server.urls:
            logging.getLogger(__name__).info("serving the KV", extra={"url": url})
        notify("READY=1")
        lifeline = _hold_lifeline(asyncio.get_running_loop())
        await stop.wait()
        for task in filter(None, (lifeline, roles)):
            task.cancel()
        notify("STOPPING=1")
    return 0


async def _serve_roles(
    server: "Listeners", socket_dir: Path, keyspace: "Keyspace"
) -> "asyncio.Task[None]":
    """Serve the sockets of roles; return what follows the machines that come and go."""
    import asyncio  # noqa: PLC0415

    from c101.core.clock import SystemClock  # noqa: PLC0415
    from c101.core.role_sockets import RoleSockets  # noqa: PLC0415

    roles = RoleSockets(server, socket_dir, keyspace, SystemClock())
    await roles.listen()
    return asyncio.create_task(roles.follow_machines(), name="role sockets")


def _keyspace(prefix: str) -> "Keyspace":
    from c101.core.registry.keyspace import Keyspace  # noqa: PLC0415

    try:
        return Keyspace(prefix)
    except ValueError as exc:
        raise ConfigError(f"--prefix: {exc}") from exc


@cli.command()
@click.option("--kv", "url", required=True, metavar="URL", help="The etcd of this host.")
@click.option("--socket-dir", type=click.Path(path_type=Path), required=True, metavar="DIR")
@click.option("--prefix", default="/c101/", show_default=True, help="Of the cluster's keys.")
@kv_tls_flags
def front(*, url: str, socket_dir: Path, prefix: str, kv_tls: KvTls) -> None:
    """Serve the sockets of roles, where the KV is a real etcd."""
    import uvloop  # noqa: PLC0415

    from c101.core import log  # noqa: PLC0415

    log.configure(level=os.environ.get("C101_LOG_LEVEL", "info"))
    socket_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    uvloop.run(_serve_front(url, socket_dir, _keyspace(prefix), kv_tls))


async def _serve_front(url: str, socket_dir: Path, keyspace: "Keyspace", kv_tls: KvTls) -> None:
    from c101.core.kvserver.front.server import Front  # noqa: PLC0415
    from c101.core.kvserver.server import ADMIN_SOCKET  # noqa: PLC0415
    from c101.core.notify import notify  # noqa: PLC0415
    from c101.core.rpc.dial import TlsOptions, dialer_for  # noqa: PLC0415
    from c101.core.socket_group import ADMIN, give_to_group, role_group  # noqa: PLC0415

    stop = _told_to_stop()
    async with Front(dialer_for(url, TlsOptions.of(kv_tls))) as serving:
        await serving.listen_unix(socket_dir / ADMIN_SOCKET)
        give_to_group(socket_dir / ADMIN_SOCKET, role_group(ADMIN))
        roles = await _serve_roles(serving, socket_dir, keyspace)
        notify("READY=1")
        await stop.wait()
        roles.cancel()
        notify("STOPPING=1")


def _told_to_stop() -> "asyncio.Event":
    """Return what is set when this process is asked to end."""
    import asyncio  # noqa: PLC0415
    import signal  # noqa: PLC0415

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


@cli.command()
@click.option("--kv", "urls", required=True, metavar="URL[,URL]...", help="unix, http or https.")
@click.option("--name", metavar="NAME", help="What this engine is called; its host and pid.")
@click.option("--prefix", default="/c101/", show_default=True, help="Of the cluster's keys.")
@kv_tls_flags
def engine(urls: str, name: str | None, prefix: str, kv_tls: KvTls) -> None:
    """Decide where units run: the scheduler, on our KV or on a real etcd.

    Several may run: one leads, the others wait for its lease to end.
    """
    import uvloop  # noqa: PLC0415

    from c101.core import log  # noqa: PLC0415

    log.configure(level=os.environ.get("C101_LOG_LEVEL", "info"))
    name = name or f"{socket.gethostname()}-{os.getpid()}"
    # The KV, which everybody waits for, may run on the same machine: it goes first.
    os.nice(ENGINE_NICE)
    uvloop.run(_run_engine(urls, name, prefix, kv_tls))


async def _run_engine(urls: str, name: str, prefix: str, kv_tls: KvTls) -> None:
    import asyncio  # noqa: PLC0415

    from c101.core.clock import SystemClock  # noqa: PLC0415
    from c101.core.notify import notify  # noqa: PLC0415
    from c101.core.rpc.dial import TlsOptions, dialer_for, split_urls  # noqa: PLC0415
    from c101.core.scheduler.engine import run_engine  # noqa: PLC0415

    keyspace = _keyspace(prefix)
    options = TlsOptions.of(kv_tls)
    dialers = [dialer_for(url, options) for url in split_urls(urls)]
    stop = _told_to_stop()
    lifeline = _hold_lifeline(asyncio.get_running_loop())
    notify("READY=1")
    await run_engine(dialers=dialers, keyspace=keyspace, name=name, clock=SystemClock(), stop=stop)
    notify("STOPPING=1")
    if lifeline is not None:
        lifeline.cancel()


def _hold_lifeline(loop: "asyncio.AbstractEventLoop") -> "asyncio.Task[None] | None":
    """End this process at once when its supervisor, if it has one, is gone."""
    from c101.core.lifeline import ENVIRONMENT_VARIABLE, watch_lifeline  # noqa: PLC0415

    path = os.environ.get(ENVIRONMENT_VARIABLE)
    if not path:
        return None

    async def hold() -> None:
        try:
            await watch_lifeline(path)
        except ConfigError as exc:
            click.echo(f"c101-core: {exc}", err=True)
        # At once: a supervisor that is gone may have been the power that was cut.
        os._exit(1)

    return loop.create_task(hold(), name="lifeline")


def _socket_directory() -> Path:
    """Return where the sockets of this user's core are."""
    if os.geteuid() == 0:
        return SYSTEM_SOCKETS
    return Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")) / "c101"


def _role(role: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", role) or role.startswith("."):
        raise ConfigError(f"--stdio {role!r}: not a role")
    return role


def relay(path: Path) -> None:
    """Copy standard input to the unix socket *path* and back until the socket ends.

    Raises ConfigError when nobody listens there.
    """
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.connect(str(path))
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}") from exc

    def send() -> None:
        try:
            while data := os.read(sys.stdin.fileno(), _CHUNK_BYTES):
                link.sendall(data)
            link.shutdown(socket.SHUT_WR)
        except OSError:
            # The socket is gone; the other direction sees it too and ends the process.
            return

    # Each direction blocks on its own, so neither can hold up the other.
    threading.Thread(target=send, daemon=True).start()
    try:
        while data := link.recv(_CHUNK_BYTES):
            view = memoryview(data)
            while view:
                view = view[os.write(sys.stdout.fileno(), view) :]
    except OSError:
        return


def main() -> None:
    """Run c101-core; an error is one line on standard error."""
    try:
        cli.main(prog_name="c101-core", standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except click.Abort:
        sys.exit(1)
    except C101Error as exc:
        hint = f" ({exc.hint})" if exc.hint else ""
        click.echo(f"c101-core: {exc}{hint}", err=True)
        sys.exit(exc.exit_status)


if __name__ == "__main__":
    main()
