"""The agent's composition root: concrete parts, sockets, and the order in which they end."""

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from pathlib import Path

from c101 import __version__
from c101.agents.host.agent import Agent, AgentSettings
from c101.agents.host.api import AgentApi, Identity
from c101.agents.host.clock_offset import ClockOffset
from c101.agents.host.containers_api import ContainersApi
from c101.agents.host.kv_access import KvAccess, kv_dialers
from c101.agents.host.kv_socket import KvSocket
from c101.agents.host.runtime import RuntimeSettings, default_runtime, launcher_of, runtime_of
from c101.agents.machine import facts
from c101.agents.ssh.gateway import Gateway, GatewaySettings
from c101.core import log
from c101.core.clock import Clock, SystemClock
from c101.core.config import SshAccess
from c101.core.errors import C101Error, ConfigError
from c101.core.etcd.client import Client
from c101.core.kv_tls import KV_TLS, KvTls
from c101.core.lifeline import watch_lifeline
from c101.core.model.machine import MachinePresence, parse_metadata
from c101.core.notify import notify, notify_ready, watchdog_seconds
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.roles import OPERATOR, VIEWER
from c101.core.rpc.dial import Dialer
from c101.core.rpc.server import Server
from c101.core.socket_group import ADMIN, give_to_group, role_group

_ETC_MACHINE_ID = Path("/etc/machine-id")
#: Names the socket whose end is the end of a cluster on this computer.
LIFELINE_VARIABLE = "C101_LIFELINE"
#: Calls under way when the agent is told to stop get this long.
GRACE_SECONDS = 2.0


def serve(options: argparse.Namespace, *, socket_dir: Path) -> int:
    """Run the agent until SIGTERM or SIGINT; return the exit status."""
    log.configure(mode=options.log)
    try:
        asyncio.run(_serve(options, socket_dir))
    except* C101Error as errors:
        raise errors.exceptions[0] from None
    return 0


async def _serve(options: argparse.Namespace, socket_dir: Path) -> None:
    if not options.kv:
        raise ConfigError("no KV was named", hint="--kv unix:///run/c101/kv-admin.sock")
    data_dir = Path(options.data_dir or "/var/lib/c101")
    _make_private(data_dir)
    _make_private(socket_dir)
    clock = SystemClock()
    machine_id = options.machine_id or _machine_id(data_dir)
    host = facts.read()
    runtime_name = options.runtime or default_runtime()
    identity = Identity(
        machine_id=machine_id,
        runtime=runtime_name,
        version=__version__,
        metadata=parse_metadata(options.metadata),
        facts=host,
    )
    presence = MachinePresence(
        id=machine_id,
        name=options.name or host.hostname,
        boot_id=host.boot_id,
        agent_version=__version__,
        runtime=runtime_name,
        cpus=host.cpus,
        memory_bytes=host.memory_bytes,
        addresses=(options.address,),
        metadata=identity.metadata,
        since=clock.time(),
    )
    tls = KvTls(**{name: getattr(options, name) for name in KV_TLS})
    ssh = SshAccess(identity=options.kv_identity, known_hosts=options.kv_known_hosts)
    access = KvAccess(urls=options.kv, tls=tls, ssh=ssh)
    settings = RuntimeSettings(
        name=presence.runtime,
        data_dir=data_dir,
        machine_id=machine_id,
        boot_id=host.boot_id,
        lifeline=os.environ.get(LIFELINE_VARIABLE),
        environment=_unit_environment(options, tls),
    )
    async with (
        runtime_of(settings, clock) as units,
        kv_dialers(access, clock) as dialers,
        Client(dialers, clock=clock) as client,
        _kv_socket(options, dialers),
    ):
        agent_settings = AgentSettings(
            presence=presence,
            pin_path=data_dir / "kv-pin",
            secrets_dir=socket_dir / "secrets",
            lease_ttl_seconds=options.lease_ttl,
        )
        keyspace = Keyspace(options.prefix)
        agent = Agent(agent_settings, client=client, keyspace=keyspace, units=units, clock=clock)
        launcher = launcher_of(runtime_name)
        containers = ContainersApi(units, launcher, clock, machine_id)
        offset = ClockOffset(client, clock)
        api = AgentApi(identity, units, clock, agent.kv_link, containers, lambda: offset.seconds)
        work = {"agent": agent.run(), "clock": offset.run()}
        await _serve_until_told(options, socket_dir, data_dir, work, api, clock)


def _unit_environment(options: argparse.Namespace, tls: KvTls) -> dict[str, str]:
    """Return what units find in their environment: how they reach the KV, and are reached.

    Paths are such that they hold from any directory.
    """
    here = {"C101_ADDRESS": options.address, "C101_PYTHON": sys.executable}
    if options.kv_socket:
        return {"C101_KV": f"unix://{Path(options.kv_socket).absolute()}", **here}
    files = {variable: getattr(tls, name) for name, (_, variable, _) in KV_TLS.items()}
    given = {variable: str(Path(file).absolute()) for variable, file in files.items() if file}
    return {"C101_KV": options.kv, **given, **here}


@contextlib.asynccontextmanager
async def _kv_socket(options: argparse.Namespace, dialers: Sequence[Dialer]) -> AsyncIterator[None]:
    if not options.kv_socket:
        if options.kv_port:
            raise ConfigError("--kv-port goes with --kv-socket")
        yield
        return
    socket = KvSocket(Path(options.kv_socket), dialers, port=options.kv_port)
    await socket.start()
    try:
        yield
    finally:
        await socket.close()


async def _serve_until_told(
    options: argparse.Namespace,
    socket_dir: Path,
    data_dir: Path,
    work: Mapping[str, Coroutine[None, None, None]],
    api: AgentApi,
    clock: Clock,
) -> None:
    lifeline = os.environ.get(LIFELINE_VARIABLE)
    admins = Server(api.unary_methods(), api.stream_methods(may_run=True))
    operators = Server(api.unary_methods(), api.stream_methods())
    viewers = Server(api.unary_methods(may_change=False), api.stream_methods())
    socket = socket_dir / "agent-admin.sock"
    for role, serving in ((ADMIN, admins), (OPERATOR, operators), (VIEWER, viewers)):
        path = socket_dir / f"agent-{role}.sock"
        await serving.serve_unix(path, role=role)
        give_to_group(path, role_group(role))
    gateway = await _gateway(options, data_dir, socket, clock)
    try:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(run, name=name) for name, run in work.items()]
            if seconds := watchdog_seconds():
                running.append(group.create_task(_watchdog(seconds, clock), name="watchdog"))
            if lifeline:
                running.append(group.create_task(_until_eof(lifeline, stop), name="lifeline"))
            notify_ready()
            await stop.wait()
            for task in running:
                task.cancel()
    finally:
        if gateway is not None:
            await gateway.close()
        servers = (admins, operators, viewers)
        await asyncio.gather(*(one.close(GRACE_SECONDS) for one in servers))


async def _watchdog(seconds: float, clock: Clock) -> None:
    """Say that the loop turns, for ever: an agent that hangs is started anew."""
    while True:
        notify("WATCHDOG=1")
        await clock.sleep(seconds)


async def _until_eof(lifeline: str, stop: asyncio.Event) -> None:
    await watch_lifeline(lifeline)
    stop.set()


async def _gateway(
    options: argparse.Namespace, data_dir: Path, socket: Path, clock: Clock
) -> Gateway | None:
    if not options.gateway:
        return None
    host, _, port = options.gateway.rpartition(":")
    if not port.isdigit():
        raise ConfigError(f"--gateway is ADDR:PORT: {options.gateway!r} is not")
    settings = GatewaySettings(
        host_key=Path(options.gateway_host_key or data_dir / "ssh_host_ed25519_key"),
        authorized_keys=Path(options.gateway_authorized_keys or data_dir / "authorized_keys"),
        relays={"c101-agent --stdio admin": socket},
    )
    gateway = Gateway(host, int(port), settings, clock)
    await gateway.start()
    return gateway


def _make_private(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"{directory} cannot be made: {error.strerror}") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ConfigError(f"{directory} cannot be written to")


def _machine_id(data_dir: Path) -> str:
    kept = data_dir / "machine-id"
    for path in (_ETC_MACHINE_ID, kept):
        with contextlib.suppress(OSError):
            if text := path.read_text().strip():
                return text
    fresh = secrets.token_hex(16)
    kept.write_text(fresh + "\n")
    return fresh
