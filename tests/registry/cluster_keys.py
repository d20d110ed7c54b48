"""Builders of keys and records for the registry's tests."""

from c101.core.etcd.events import WatchEvent
from c101.core.model.key_value import KeyValue
from c101.core.model.machine import MachinePresence, MachineRecord
from c101.core.model.unit import Placement, UnitState
from c101.core.registry.keyspace import Keyspace

KEYS = Keyspace()
SERVICE = "[Service]\nExecStart=/bin/true\n"


def put(key: str, value: str | bytes, revision: int = 1) -> WatchEvent:
    raw = value.encode() if isinstance(value, str) else value
    return WatchEvent(
        kind="put",
        kv=KeyValue(
            key=key.encode(),
            value=raw,
            create_revision=revision,
            mod_revision=revision,
            version=1,
        ),
    )


def delete(key: str, revision: int = 1) -> WatchEvent:
    kv = KeyValue(key=key.encode(), value=b"", create_revision=0, mod_revision=revision, version=0)
    return WatchEvent(kind="delete", kv=kv)


def presence(machine_id: str = "m1", *, boot_id: str = "boot", cpus: int = 2) -> MachinePresence:
    return MachinePresence(
        id=machine_id,
        name=f"name-{machine_id}",
        boot_id=boot_id,
        agent_version="0.1.0",
        runtime="process",
        cpus=cpus,
        metadata={"zone": "a"},
    )


def record(machine_id: str = "m1", *, name: str = "alpha") -> MachineRecord:
    return MachineRecord(id=machine_id, name=name, addresses=("10.0.0.1",), added=1.5)


def placement(machine_id: str = "m1") -> Placement:
    return Placement(machine_id=machine_id, reason="least loaded", since=12.25)


def state(unit: str = "web.service", machine_id: str = "m1", active: str = "active") -> UnitState:
    return UnitState(unit=unit, machine_id=machine_id, load="loaded", active=active, sub="running")
