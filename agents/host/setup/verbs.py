"""The verbs of ``c101-agent setup``: what each has done, in which order."""

import asyncio
import os
from pathlib import Path

from c101.agents.host.runtime import SYSTEMD, RuntimeSettings, runtime_of
from c101.agents.host.service_unit import (
    ENGINE_NAME,
    KV_NAME,
    NAME,
    agent_unit,
    engine_unit,
    kv_unit,
)
from c101.agents.host.setup.admitted import admit, dismiss
from c101.agents.host.setup.host import Host
from c101.agents.host.setup.places import PROGRAMS, RELAY_USER, Places
from c101.agents.host.setup.spec import Admission, AgentSpec, CoreSpec, Outcome
from c101.agents.machine import facts
from c101.agents.ssh.keys import ensure_key
from c101.core.clock import SystemClock
from c101.core.errors import ConfigError
from c101.core.registry.roles import OPERATOR, VIEWER
from c101.core.socket_group import ADMIN, AGENTS_GROUP, role_group

_GROUPS = (AGENTS_GROUP, *map(role_group, (ADMIN, OPERATOR, VIEWER)))


class Setup:
    """The verbs on this host, whose things are at *places*."""

    def __init__(self, places: Places, host: Host) -> None:
        self._places = places
        self._host = host

    def key(self) -> Outcome:
        """Make the agent's key, unless there is one."""
        return Outcome(key=ensure_key(self._places.agent_key).line)

    def core(self, spec: CoreSpec) -> Outcome:
        """Run the KV and the engine, and have a user as whom agents are let in."""
        host, places = self._host, self._places
        self._accounts(spec.admin)
        host.ensure_user(RELAY_USER, places.relay_home)
        fresh = self._fresh("core")
        core = str(places.bin / "c101-core")
        listen = [word for url in spec.listen for word in ("--listen", url)]
        kv = [core, "kv", "--data-dir", str(places.kv_state), "--role-sockets"]
        kv += ["--socket-dir", str(places.sockets), *listen]
        engine = [core, "engine", "--kv", f"unix://{places.sockets}/kv-admin.sock"]
        self._serve([(KV_NAME, kv_unit(kv)), (ENGINE_NAME, engine_unit(engine))], fresh=fresh)
        self._started("core")
        return self._outcome()

    def agent(self, spec: AgentSpec) -> Outcome:
        """Run the agent."""
        host, places = self._host, self._places
        self._accounts(spec.admin)
        fresh = self._fresh("agent")
        known = "".join(f"{line}\n" for line in spec.known_hosts)
        fresh |= host.write(places.known_hosts, known)
        argv = [str(places.bin / "c101-agent"), "--runtime", "systemd", "--kv", spec.kv]
        argv += ["--kv-identity", str(places.agent_key)]
        argv += ["--kv-known-hosts", str(places.known_hosts)]
        argv += ["--kv-socket", str(places.sockets / "kv.sock")]
        argv += ["--name", spec.name, "--address", spec.address]
        argv += ["--lease-ttl", str(spec.lease_ttl_seconds)]
        if spec.metadata:
            pairs = (f"{key}={value}" for key, value in sorted(spec.metadata.items()))
            argv += ["--metadata", ",".join(pairs)]
        self._serve([(NAME, agent_unit(argv))], fresh=fresh)
        self._started("agent")
        return self._outcome()

    def admit(self, admission: Admission) -> Outcome:
        """Let the agent of a machine in, to its own socket."""
        places = self._places
        program, sockets = str(places.bin / "c101-core"), str(places.sockets)
        self._admitted(
            admit(
                self._admitted_now(),
                admission.machine_id,
                admission.key,
                program=program,
                sockets=sockets,
            )
        )
        return self._outcome()

    def dismiss(self, admission: Admission) -> Outcome:
        """Let the agent of a machine in no more."""
        self._admitted(dismiss(self._admitted_now(), admission.machine_id))
        return self._outcome()

    def remove(self) -> Outcome:
        """Stop everything, the cluster's units too, and leave nothing."""
        host, places = self._host, self._places
        for unit in (NAME, ENGINE_NAME, KV_NAME):
            host.stop(unit)
        if places.state.is_dir():
            asyncio.run(self._unload_units())
        for unit in (NAME, ENGINE_NAME, KV_NAME):
            host.remove(places.units / unit)
        host.run("systemctl", "daemon-reload")
        for program in PROGRAMS:
            host.remove(places.bin / program)
        for folder in (
            places.etc, places.state, places.kv_state, places.sockets, places.programs,
        ):  # fmt: skip
            host.remove(folder)
        host.remove_account("user", RELAY_USER)
        for group in _GROUPS:
            host.remove_account("group", group)
        host.remove(places.relay_home)
        return self._outcome()

    async def _unload_units(self) -> None:
        """Have systemd stop and forget the units that the cluster had here."""
        here = facts.read()
        settings = RuntimeSettings(
            name=SYSTEMD,
            data_dir=self._places.state,
            machine_id="",
            boot_id=here.boot_id,
            lifeline=None,
            environment={},
        )
        async with runtime_of(settings, SystemClock()) as manager:
            for unit in await manager.units():
                await manager.stop(unit.name)
                await manager.unload(unit.name)
                self._host.changed.append(f"stopped {unit.name}")

    # ---- parts ----

    def _accounts(self, admin: str) -> None:
        for group in _GROUPS:
            self._host.ensure_group(group)
        if admin and admin != "root":
            self._host.ensure_member(role_group(ADMIN), admin)

    def _serve(self, units: list[tuple[str, str]], *, fresh: bool) -> None:
        host = self._host
        changed = {name: host.write(self._places.units / name, text) for name, text in units}
        if any(changed.values()):
            host.run("systemctl", "daemon-reload")
        for name, _ in units:
            host.serve(name, changed=changed[name] or fresh)

    def _fresh(self, what: str) -> bool:
        """Say whether other programs are installed than those *what* was started from."""
        try:
            return (self._places.running / what).read_text() != self._installed()
        except FileNotFoundError:
            return True

    def _started(self, what: str) -> None:
        self._host.write(self._places.running / what, self._installed())

    def _installed(self) -> str:
        return Path(os.path.realpath(self._places.programs / "current")).name

    def _admitted_now(self) -> str:
        try:
            return self._places.admitted.read_text()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise ConfigError(f"{self._places.admitted}: {error.strerror}") from error

    def _admitted(self, text: str) -> None:
        folder = self._places.admitted.parent
        if not self._places.relay_home.is_dir():
            raise ConfigError("no KV of c101 runs on this host", hint="c101ctl init makes one")
        folder.mkdir(mode=0o755, exist_ok=True)
        # Root's, and readable: the user whose keys they are cannot let anybody in.
        self._host.write(self._places.admitted, text)

    def _outcome(self) -> Outcome:
        return Outcome(changed=tuple(self._host.changed))
