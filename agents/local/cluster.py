"""The composition root of a cluster on this computer: its processes, and what is asked of them."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from c101.agents.local.keys import KV_RELAY, ClusterKeys
from c101.agents.local.layout import Layout
from c101.agents.local.process import Process
from c101.agents.local.settings import LOOPBACK, ClusterSettings, MachineSettings
from c101.agents.runtime.process import power
from c101.agents.runtime.process.launch import MACHINE_MARK
from c101.agents.ssh.gateway import Gateway, GatewaySettings
from c101.core.clock import Clock
from c101.core.errors import ConfigError, NotFoundError
from c101.core.etcd.client import Client
from c101.core.lifeline import ENVIRONMENT_VARIABLE
from c101.core.model.machine import Machine, MachineRecord
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.mirror import Mirror
from c101.core.registry.registry import Registry
from c101.core.rpc.dial import UnixDialer

SSH_USER = "c101"
#: How long units may take to stop when the cluster is taken down.
UNITS_STOP_SECONDS = 5.0
#: A process that ended so often in a row before all had joined will not start at all.
START_FAILURES_MAX = 4
_LOOK_SECONDS = 0.05


class LocalCluster:
    """Holds the processes and the KV's gateway. Made and run by the supervisor."""

    def __init__(
        self, layout: Layout, settings: ClusterSettings, keys: ClusterKeys, clock: Clock
    ) -> None:
        self.layout = layout
        self.settings = settings
        self._keys = keys
        self._clock = clock
        environment = _environment(layout)
        self._kv = Process("kv", self._kv_argv(), environment, layout.log("kv"))
        self._engine = Process("engine", self._engine_argv(), environment, layout.log("engine"))
        self._agents = {
            one.name: Process(one.name, self._agent_argv(one), environment, layout.log(one.name))
            for one in settings.machines
        }
        self._gateway = Gateway(
            LOOPBACK,
            settings.kv_ssh_port,
            GatewaySettings(
                host_key=keys.kv.host_key,
                authorized_keys=keys.kv.authorized_keys,
                relays={KV_RELAY: layout.kv_socket},
            ),
            clock,
        )

    async def run(self, joined: asyncio.Event) -> None:
        """Keep everything running until cancelled; *joined* is set once every machine has.

        Units are stopped on the way out, and killed where they do not stop in time.
        """
        await self._gateway.start()
        try:
            async with asyncio.TaskGroup() as group:
                for process in (self._kv, self._engine, *self._agents.values()):
                    group.create_task(process.run(self._clock), name=process.name)
                group.create_task(self._introduce(joined), name="introduce")
                group.create_task(self._give_up_early(joined), name="give up early")
        finally:
            await self._gateway.close()
            await asyncio.shield(self._end_units())

    async def _introduce(self, joined: asyncio.Event) -> None:
        """Write the machines' records, and wait until each has joined."""
        began = self._clock.time()
        keyspace = Keyspace()
        async with Client([UnixDialer(str(self.layout.kv_socket))], clock=self._clock) as client:
            await self._until_answered(client)
            registry = Registry(client, keyspace, self._clock)
            for machine in self.settings.machines:
                await registry.put_machine_record(self._record(machine))
            mirror = Mirror(client, keyspace, self._clock)
            async with asyncio.TaskGroup() as group:
                following = group.create_task(mirror.run(), name="mirror")
                wanted = {machine.id for machine in self.settings.machines}
                revision = 0
                while not wanted <= _joined_since(began, mirror.state.present()):
                    revision = (await mirror.next_change(revision)).revision
                following.cancel()
        joined.set()

    async def _give_up_early(self, joined: asyncio.Event) -> None:
        """Fail, with its own words, when a process does not even start."""
        while not joined.is_set():
            for process in (self._kv, self._engine, *self._agents.values()):
                if process.failures >= START_FAILURES_MAX:
                    raise ConfigError(f"{process.name} does not start: {process.last_words()}")
            await self._clock.sleep(_LOOK_SECONDS)

    async def _until_answered(self, client: Client) -> None:
        while not self.layout.kv_socket.exists():
            await self._clock.sleep(_LOOK_SECONDS)
        await client.status()

    def document(self) -> dict[str, Any]:
        """Return what scripts read (docs/commands.md)."""
        return {
            "kv": {
                "http": f"http://{LOOPBACK}:{self.settings.kv_port}",
                "unix": f"unix://{self.layout.kv_socket}",
                "pid": self._kv.pid,
                "ssh": {"host": LOOPBACK, "port": self.settings.kv_ssh_port},
            },
            "engine": {"pid": self._engine.pid},
            "ssh": {
                "user": SSH_USER,
                "identity": str(self.layout.identity),
                "known_hosts": str(self.layout.known_hosts),
            },
            "lease_ttl_s": self.settings.lease_ttl_seconds,
            "machines": [
                {
                    "id": one.id,
                    "name": one.name,
                    "ssh_host": LOOPBACK,
                    "ssh_port": one.ssh_port,
                    "agent_pid": self._agents[one.name].pid,
                    "socket_dir": str(self.layout.machine_sockets(one.name)),
                    "power": "off" if self._agents[one.name].held else "on",
                }
                for one in self.settings.machines
            ],
            "name": self.layout.name,
            "dir": str(self.layout.directory),
            "supervisor": {"pid": os.getpid()},
        }

    async def kill(self, what: str, *, agent_only: bool = False) -> None:
        """Cut the power of machine *what*, or SIGKILL ``kv`` or ``engine``; it stays down.

        With *agent_only* the machine's agent alone is killed, and started again at once.
        Raises NotFoundError, ConfigError.
        """
        process = self._process(what)
        if agent_only and what not in self._agents:
            raise ConfigError(f"{what} is no machine: it has no agent")
        if agent_only:
            await process.kill()
            return
        await process.hold()
        if what in self._agents:
            await asyncio.to_thread(power.kill_machine, self._machine(what).id)

    def start(self, what: str) -> None:
        """Bring back what ``kill`` took down. Raises NotFoundError."""
        self._process(what).release()

    def _process(self, what: str) -> Process:
        found = {"kv": self._kv, "engine": self._engine, **self._agents}.get(what)
        if found is None:
            raise NotFoundError(
                f"nothing here is called {what}",
                hint="kv, engine, " + ", ".join(self._agents),
            )
        return found

    def _machine(self, name: str) -> MachineSettings:
        return next(one for one in self.settings.machines if one.name == name)

    def _record(self, machine: MachineSettings) -> MachineRecord:
        now = self._clock.time()
        return MachineRecord(
            id=machine.id,
            name=machine.name,
            addresses=(LOOPBACK,),
            ssh_user=SSH_USER,
            ssh_port=machine.ssh_port,
            host_keys=(self._keys.machines[machine.name].line,),
            metadata=machine.metadata,
            added=now,
            last_seen=now,
        )

    async def _end_units(self) -> None:
        """Have every keeper stop its unit, then kill what is left of the machines."""
        marks = [f"{MACHINE_MARK}={one.id}" for one in self.settings.machines]
        _stop_keepers(marks)
        waited = 0.0
        while waited < UNITS_STOP_SECONDS and any(True for mark in marks for _ in _held(mark)):
            await self._clock.sleep(_LOOK_SECONDS)
            waited += _LOOK_SECONDS
        for machine in self.settings.machines:
            await asyncio.to_thread(power.kill_machine, machine.id)

    def _kv_argv(self) -> list[str]:
        listen = f"http://{LOOPBACK}:{self.settings.kv_port}"
        directories = ("--data-dir", str(self.layout.kv_data), "--socket-dir")
        where = (*directories, str(self.layout.sockets), "--listen", listen)
        return _python("c101.core.daemon", "kv", *where)

    def _engine_argv(self) -> list[str]:
        kv = f"unix://{self.layout.kv_socket}"
        return _python("c101.core.daemon", "engine", "--kv", kv, "--name", "engine")

    def _agent_argv(self, machine: MachineSettings) -> list[str]:
        files = self._keys.machines[machine.name]
        options = {
            "--kv": f"unix://{self.layout.kv_socket}",
            "--name": machine.name,
            "--machine-id": machine.id,
            "--metadata": ",".join(f"{key}={value}" for key, value in machine.metadata.items()),
            "--runtime": "process",
            "--socket-dir": str(self.layout.machine_sockets(machine.name)),
            "--data-dir": str(self.layout.machine_data(machine.name)),
            "--lease-ttl": str(self.settings.lease_ttl_seconds),
            "--gateway": f"{LOOPBACK}:{machine.ssh_port}",
            "--gateway-host-key": str(files.host_key),
            "--gateway-authorized-keys": str(files.authorized_keys),
        }
        words = [word for pair in options.items() for word in pair]
        return _python("c101.agents.host.main", *words)


def _joined_since(began: float, present: Iterable[Machine]) -> set[str]:
    """Return the machines whose agent started after *began*.

    After a crash the KV still holds what agents said that are gone, until their leases end.
    """
    return {one.id for one in present if one.presence is not None and one.presence.since >= began}


def _python(module: str, *arguments: str) -> list[str]:
    # -P: what lies in the user's working directory is nobody's to import.
    return [sys.executable, "-P", "-m", module, *arguments]


def _environment(layout: Layout) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("C101_")}
    return {**kept, ENVIRONMENT_VARIABLE: str(layout.lifeline)}


def _held(mark: str) -> Iterable[int]:
    return (pid for pid, _ in power.marked({mark}))


def _stop_keepers(marks: Iterable[str]) -> None:
    for mark in marks:
        for pid, is_keeper in power.marked({mark}):
            if is_keeper:
                try:
                    os.kill(pid, signal.SIGTERM)
                except ProcessLookupError:
                    continue
