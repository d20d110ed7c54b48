"""The composition root of a cluster on this computer: its processes, and what is asked of them."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from c101.agents.local.keys import KV_RELAY, GatewayFiles, make_keys
from c101.agents.local.layout import Layout
from c101.agents.local.process import Process
from c101.agents.local.settings import LOOPBACK, ClusterSettings, MachineSettings
from c101.agents.local.stages import Stages
from c101.agents.runtime.process import power
from c101.agents.runtime.process.launch import MACHINE_MARK
from c101.agents.ssh.gateway import Gateway, GatewaySettings
from c101.core.clock import Clock
from c101.core.errors import ConfigError, NotFoundError
from c101.core.lifeline import ENVIRONMENT_VARIABLE
from c101.core.model.machine import MachineRecord

SSH_USER = "c101"
#: How long units may take to stop when the cluster is taken down.
UNITS_STOP_SECONDS = 5.0
#: A process that ended so often in a row before all had joined will not start at all.
START_FAILURES_MAX = 4
_LOOK_SECONDS = 0.02


class LocalCluster:
    """Holds the processes and the KV's gateway. Made and run by the supervisor."""

    def __init__(self, layout: Layout, settings: ClusterSettings, clock: Clock) -> None:
        self.layout = layout
        self.settings = settings
        self._clock = clock
        environment = _environment(layout)
        files = GatewayFiles.of(layout, "kv")
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
                host_key=files.host_key,
                authorized_keys=files.authorized_keys,
                relays={KV_RELAY: layout.kv_socket},
            ),
            clock,
        )

    async def run(self, stages: Stages) -> None:
        """Keep everything running until cancelled, and set each of *stages* when it is reached.

        Units are stopped on the way out, and killed where they do not stop in time.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._start(group, stages), name="start")
                group.create_task(self._give_up_early(stages), name="give up early")
        finally:
            await self._gateway.close()
            await asyncio.shield(self._end_units())

    async def _start(self, group: asyncio.TaskGroup, stages: Stages) -> None:
        """Start the KV, then what needs it: until it answers they would only be in its way."""
        self.layout.kv_socket.unlink(missing_ok=True)  # what a killed KV left
        group.create_task(self._kv.run(self._clock), name=self._kv.name)
        host_keys = await asyncio.to_thread(make_keys, self.layout, self.settings)
        await self._gateway.start()
        introduction = await asyncio.to_thread(_load_introduction)
        while not self.layout.kv_socket.exists():
            await self._clock.sleep(_LOOK_SECONDS)
        records = self._records(host_keys)
        for process in (*self._agents.values(), self._engine):
            group.create_task(process.run(self._clock), name=process.name)
        await introduction.introduce(self.layout, records, stages, self._clock)

    async def _give_up_early(self, stages: Stages) -> None:
        """Fail, with its own words, when a process does not even start."""
        while not stages.joined.is_set():
            for process in (self._kv, self._engine, *self._agents.values()):
                if process.failures >= START_FAILURES_MAX:
                    raise ConfigError(f"{process.name} does not start: {process.last_words()}")
            await self._clock.sleep(_LOOK_SECONDS)

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

    def _records(self, host_keys: Mapping[str, str]) -> list[MachineRecord]:
        now = self._clock.time()
        return [
            MachineRecord(
                id=machine.id,
                name=machine.name,
                addresses=(LOOPBACK,),
                ssh_user=SSH_USER,
                ssh_port=machine.ssh_port,
                host_keys=(host_keys[machine.name],),
                metadata=machine.metadata,
                added=now,
                last_seen=now,
            )
            for machine in self.settings.machines
        ]

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
        files = GatewayFiles.of(self.layout, machine.name)
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


def _load_introduction() -> ModuleType:
    # It speaks to the KV: a client, protobuf. The KV itself starts meanwhile.
    from c101.agents.local import introduction  # noqa: PLC0415

    return introduction


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
