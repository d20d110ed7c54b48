"""The verbs of ``c101-agent setup``: what each has done, in which order."""

import asyncio
import gzip
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from c101.agents.host import kv_pin
from c101.agents.host.kv_pin import KVPin
from c101.agents.host.runtime import SYSTEMD, RuntimeSettings, runtime_of
from c101.agents.host.service_unit import (
    ENGINE_NAME,
    KV_NAME,
    NAME,
    agent_unit,
    engine_unit,
    front_unit,
    kv_unit,
)
from c101.agents.host.setup.admitted import admit
from c101.agents.host.setup.etcd import CLIENT_PORT, EtcdMember
from c101.agents.host.setup.host import Host
from c101.agents.host.setup.host_keys import HostKeys, with_keys
from c101.agents.host.setup.places import PROGRAMS, RELAY_USER, Places
from c101.agents.host.setup.spec import (
    Admission,
    AgentSpec,
    CoreSpec,
    EtcdSite,
    EtcdSpec,
    Hold,
    KvMove,
    Outcome,
    Trusted,
)
from c101.agents.machine import facts
from c101.agents.ssh.keys import ensure_key
from c101.core.clock import SystemClock
from c101.core.errors import C101Error, ConfigError
from c101.core.kv.schema import DATABASE_NAME
from c101.core.kv.snapshot.export import Export
from c101.core.registry.roles import OPERATOR, VIEWER
from c101.core.socket_group import ADMIN, AGENTS_GROUP, role_group

#: What brings back the KV that was held, should nobody else.
_RELEASE = "c101-release"
#: What the core was told before it became an etcd's.
_BEFORE = "core-before"
#: History that the KV keeps; without it the database would only grow.
_HISTORY = "24h"
#: Units may take so long to stop (systemd: DefaultTimeoutStopSec), and a little more.
_STOP_SECONDS_MAX = 100.0
_LOOK_SECONDS = 0.05
_GROUPS = (AGENTS_GROUP, *map(role_group, (ADMIN, OPERATOR, VIEWER)))


class Setup:
    """The verbs on this host, whose things are at *places*."""

    def __init__(self, places: Places, host: Host) -> None:
        self._places = places
        self._host = host
        self._member = EtcdMember(places, host)
        self._host_keys = HostKeys(places.root / "etc/ssh", host)

    def key(self) -> Outcome:
        """Make the agent's key, unless there is one."""
        return Outcome(key=ensure_key(self._places.agent_key).line)

    def core(self, spec: CoreSpec) -> Outcome:
        """Run the KV and the engine, and have a user as whom agents are let in."""
        host, places = self._host, self._places
        self._accounts(spec.admin)
        host.ensure_user(RELAY_USER, places.relay_home)
        fresh = self._programs_of("core") != self._installed()
        units = [(KV_NAME, self._front() if spec.etcd else self._kv(spec.listen))]
        if spec.engine:
            engine = [self._core, "engine", "--kv", f"unix://{places.sockets}/kv-admin.sock"]
            units.append((ENGINE_NAME, engine_unit(engine)))
        self._serve(units, fresh=fresh)
        self._keep("core", spec)
        return self._outcome()

    @property
    def _core(self) -> str:
        return str(self._places.bin / "c101-core")

    def _kv(self, listen: Sequence[str]) -> str:
        places = self._places
        argv = [self._core, "kv", "--data-dir", str(places.kv_state), "--role-sockets"]
        argv += ["--socket-dir", str(places.sockets), "--auto-compaction-retention", _HISTORY]
        return kv_unit([*argv, *(word for url in listen for word in ("--listen", url))])

    def _front(self) -> str:
        etcd = self._places.etcd
        argv = [self._core, "front", "--kv", f"https://127.0.0.1:{CLIENT_PORT}"]
        argv += ["--kv-cacert", str(etcd / "ca.pem"), "--kv-cert", str(etcd / "client.pem")]
        argv += ["--kv-key", str(etcd / "client.key"), "--socket-dir", str(self._places.sockets)]
        return front_unit(argv)

    def agent(self, spec: AgentSpec) -> Outcome:
        """Run the agent."""
        host, places = self._host, self._places
        if spec.kv_port is None:
            told = self._told("agent")
            spec = replace(spec, kv_port=told["spec"].get("kv_port") or 0 if told else 0)
        self._accounts(spec.admin)
        fresh = self._programs_of("agent") != self._installed()
        known = "".join(f"{line}\n" for line in spec.known_hosts)
        fresh |= host.write(places.known_hosts, known)
        argv = [str(places.bin / "c101-agent"), "--runtime", "systemd", "--kv", spec.kv]
        argv += ["--kv-identity", str(places.agent_key)]
        argv += ["--kv-known-hosts", str(places.known_hosts)]
        argv += ["--kv-socket", str(places.sockets / "kv.sock")]
        argv += ["--kv-port", str(spec.kv_port)] if spec.kv_port else []
        argv += ["--name", spec.name, "--address", spec.address]
        argv += ["--lease-ttl", str(spec.lease_ttl_seconds)]
        if spec.metadata:
            pairs = (f"{key}={value}" for key, value in sorted(spec.metadata.items()))
            argv += ["--metadata", ",".join(pairs)]
        self._serve([(NAME, agent_unit(argv))], fresh=fresh)
        self._keep("agent", spec)
        return self._outcome()

    def admit(self, admission: Admission) -> Outcome:
        """Let the agent of a machine in by its keys, to its own socket."""
        places = self._places
        if not places.relay_home.is_dir():
            raise ConfigError("no KV of c101 runs on this host", hint="c101ctl init makes one")
        text = admit(
            _text(places.admitted),
            admission.machine_id,
            admission.keys,
            program=str(places.bin / "c101-core"),
            sockets=str(places.sockets),
        )
        # Root's, and readable: the user whose keys they are cannot let anybody in.
        places.admitted.parent.mkdir(mode=0o755, exist_ok=True)
        self._host.write(places.admitted, text)
        return self._outcome()

    def moved(self, move: KvMove) -> Outcome:
        """Have the agent use another KV that has the data of the one it is pinned to."""
        path = self._places.state / "kv-pin"
        told = self._told("agent")
        if told is None:
            raise ConfigError("no agent of c101 runs on this host")
        pin = kv_pin.load(path)
        if pin is None or pin.cluster_id != move.after:
            self._host.run("systemctl", "stop", NAME)
            pin = kv_pin.load(path)  # it may just have written it
            if pin is not None and (pin.cluster_id != move.before or pin.revision > move.revision):
                raise ConfigError(f"{path} is of another KV, or of a later time than the move")
            kv_pin.store(path, KVPin(cluster_id=move.after, revision=move.revision))
            self._host.changed.append(f"changed {path}")
        spec = msgspec.convert(told["spec"], AgentSpec)
        return self.agent(replace(spec, kv=move.kv, known_hosts=move.known_hosts))

    def etcd_check(self, site: EtcdSite) -> Outcome:
        """Say what is in the way of an etcd's member here."""
        return Outcome(wrong=tuple(self._member.wrong(site)))

    def etcd(self, spec: EtcdSpec) -> Outcome:
        """Have all that a member needs; it is not started."""
        self._member.install(spec)
        return self._outcome()

    def etcd_start(self, spec: EtcdSpec) -> Outcome:
        """Begin with what was shipped."""
        self._member.start(spec)
        return self._outcome()

    def etcd_status(self) -> Outcome:
        """Say how the etcd fares."""
        if broken := self._member.broken():
            return Outcome(wrong=(broken,))
        return Outcome(etcd=self._member.status())

    def etcd_drop(self) -> Outcome:
        """Have no member here, and no front of it."""
        told = self._told("core")
        if told is not None and told["spec"].get("etcd"):
            self._forget_core()
        self._member.drop()
        return self._outcome()

    def _forget_core(self) -> None:
        for unit in (ENGINE_NAME, KV_NAME):
            self._host.stop(unit)
            self._host.remove(self._places.units / unit)
        self._host.remove(self._places.told("core"))

    def hold(self, hold: Hold) -> Outcome:
        """Stop the engine and the KV, and write the KV to where it is shipped from.

        Unless ``settle`` is called in time, ``release`` is, by the service manager.
        """
        host, places = self._host, self._places
        told = self._told("core")
        if told is None or told["spec"].get("etcd"):
            raise ConfigError("no KV of c101's own runs on this host")
        host.write(places.told(_BEFORE), places.told("core").read_text(), mode=0o600)
        self._disarm()
        host.run(
            "systemd-run", "--quiet", f"--unit={_RELEASE}", f"--on-active={hold.seconds}",
            str(places.bin / "c101-agent"), "setup", "release",
        )  # fmt: skip
        host.run("systemctl", "stop", ENGINE_NAME, KV_NAME)
        digest = hashlib.sha256()
        with Export(places.kv_state / DATABASE_NAME) as export:
            descriptor = os.open(places.moving, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as raw, gzip.open(raw, "wb", compresslevel=1) as out:
                for piece in export.pieces():
                    out.write(piece)
                    digest.update(piece)
                out.write(digest.digest())
            return replace(self._outcome(), revision=export.revision)

    def settle(self) -> Outcome:
        """Leave the KV that was held stopped for good; its data stay as they are."""
        if self._host.run("systemctl", "is-active", f"{_RELEASE}.timer", check=False) != "active":
            raise C101Error("it took too long: the KV that was held runs again")
        self._disarm()
        if not self._told("core")["spec"].get("etcd"):
            # No member was made here: nothing of the KV runs on this host any more.
            self._forget_core()
        self._host.remove(self._places.told(_BEFORE))
        self._host.remove(self._places.moving)
        return self._outcome()

    def release(self) -> Outcome:
        """Run the KV that was held, as before, and no etcd."""
        told = self._told(_BEFORE)
        if told is None:
            raise ConfigError("no KV is held on this host")
        self.etcd_drop()
        self.core(msgspec.convert(told["spec"], CoreSpec))
        self._host.remove(self._places.told(_BEFORE))
        self._disarm()
        return self._outcome()

    def _disarm(self) -> None:
        self._host.run("systemctl", "stop", f"{_RELEASE}.timer", check=False)

    def trust(self, trusted: Trusted) -> Outcome:
        """Have the agent know a host by other keys as well, or by them alone, if it knows it.

        That is read when the agent connects next: nothing is started anew.
        """
        told = self._told("agent")
        if told is None:
            raise ConfigError("no agent of c101 runs on this host")
        spec = msgspec.convert(told["spec"], AgentSpec)
        lines = with_keys(spec.known_hosts, trusted)
        if lines != spec.known_hosts:
            self._host.write(self._places.known_hosts, "".join(f"{line}\n" for line in lines))
            self._keep("agent", replace(spec, known_hosts=lines))
        return self._outcome()

    def new_host_keys(self) -> Outcome:
        """Make keys to take the place of sshd's, unless there are some."""
        keys = self._host_keys.make()
        return replace(self._outcome(), keys=keys)

    def use_host_keys(self) -> Outcome:
        """Have sshd use the keys that were made."""
        self._host_keys.use()
        return self._outcome()

    def new_key(self) -> Outcome:
        """Make a key to take the agent's place, unless there is one."""
        return Outcome(key=ensure_key(self._places.next_key).line)

    def use_key(self) -> Outcome:
        """Have the agent log in with the key that was made for it."""
        key, fresh = self._places.agent_key, self._places.next_key
        if fresh.exists():
            fresh.with_name(fresh.name + ".pub").replace(key.with_name(key.name + ".pub"))
            fresh.replace(key)
            self._host.changed.append(f"changed {key}")
        self._host.serve(NAME, changed=True)
        return self._outcome()

    def upgrade(self) -> Outcome:
        """Have the services run by the programs that are installed now, told what they were."""
        if (told := self._told("core")) is not None:
            self.core(msgspec.convert(told["spec"], CoreSpec))
        if (told := self._told("agent")) is not None:
            self.agent(msgspec.convert(told["spec"], AgentSpec))
        return self._outcome()

    def remove(self) -> Outcome:
        """Stop everything, the cluster's units too, and leave nothing."""
        host, places = self._host, self._places
        for unit in (NAME, ENGINE_NAME, KV_NAME):
            host.stop(unit)
        self._member.drop()
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
        clock = SystemClock()
        async with runtime_of(settings, clock) as manager:
            for unit in await manager.units():
                await manager.unload(unit.name)
                self._host.changed.append(f"stopped {unit.name}")
            # What is left after that is systemd's to kill: its file goes all the same.
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS_MAX):
                    while await manager.units():
                        await clock.sleep(_LOOK_SECONDS)

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

    def _programs_of(self, what: str) -> str:
        """Return the id of the programs that the services of *what* run; "" for none."""
        document = self._told(what)
        return str(document.get("programs", "")) if document else ""

    def _told(self, what: str) -> Any:
        """Return what the services of *what* were told; ``None``: there are none."""
        path = self._places.told(what)
        try:
            return msgspec.json.decode(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise ConfigError(f"{path} cannot be read: {error}") from error

    def _keep(self, what: str, spec: CoreSpec | AgentSpec) -> None:
        text = msgspec.json.encode({"programs": self._installed(), "spec": spec}).decode()
        self._host.write(self._places.told(what), text, mode=0o600)

    def _installed(self) -> str:
        return Path(os.path.realpath(self._places.programs / "current")).name

    def _outcome(self) -> Outcome:
        return Outcome(changed=tuple(self._host.changed))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
