"""The demo's cluster as it stands two minutes after its start: for pictures and behaviour."""

import hashlib
from dataclasses import replace

from c101.core.model.cluster import ClusterState
from c101.core.model.host import MachineUsage
from c101.core.model.journal import JournalEntry
from c101.core.model.key_value import KeyValue
from c101.core.model.machine import Machine, MachinePresence, MachineRecord
from c101.core.model.unit import Placement, TargetState, Unit, UnitState
from tests.fakes.access import FakeAccess
from tests.fakes.clock import START

GIB = 1 << 30
MACHINES = {"m1": "disk=ssd", "m2": "disk=hdd", "m3": "disk=hdd"}


def machine_id(name: str) -> str:
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def machine(name: str, *, present: bool = True) -> Machine:
    key, _, value = MACHINES.get(name, "disk=ssd").partition("=")
    identity = machine_id(name)
    presence = MachinePresence(
        id=identity,
        name=name,
        boot_id="b1",
        agent_version="0.1.0",
        runtime="process",
        cpus=2,
        memory_bytes=4 * GIB,
        addresses=("127.0.0.1",),
        metadata={key: value},
        since=START - 150,
    )
    record = MachineRecord(
        id=identity,
        name=name,
        addresses=("127.0.0.1",),
        metadata={key: value},
        last_seen=START - 6,
    )
    return Machine(id=identity, record=record, presence=presence if present else None)


def unit(
    name: str,
    on: str | None = None,
    *,
    text: str = "[Service]\nExecStart=/bin/sleep infinity\n",
    target: TargetState = TargetState.LAUNCHED,
    age: float = 130,
) -> Unit:
    placement = None
    if on is not None:
        placement = Placement(
            machine_id=machine_id(on), reason="least loaded of 3 feasible", since=START - age
        )
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return Unit(name=name, text=text, hash=digest, target=target, placement=placement)


def state(
    name: str, on: str, *, active: str = "active", sub: str = "running", age: float = 125
) -> UnitState:
    return UnitState(
        unit=name,
        machine_id=machine_id(on),
        load="loaded",
        active=active,
        sub=sub,
        since=START - age,
        main_pid=4127,
    )


def key(path: str, value: str, revision: int, *, lease: int = 0) -> KeyValue:
    return KeyValue(
        key=path.encode(),
        value=value.encode(),
        create_revision=revision,
        mod_revision=revision,
        version=1,
        lease=lease,
    )


def line(on: str, name: str, text: str, at: float, priority: int = 6) -> JournalEntry:
    return JournalEntry(
        cursor=f"{on}-{at}-{name}",
        realtime_us=int((START + at) * 1e6),
        machine_id=machine_id(on),
        unit=name,
        priority=priority,
        message=text.encode(),
    )


def usage(cpu: float, memory: float, load: float, at: float = 0.0) -> MachineUsage:
    return MachineUsage(
        at=START + at,
        cpu_percent=cpu,
        memory_used_bytes=int(memory * 4 * GIB),
        memory_total_bytes=4 * GIB,
        load1=load,
        disk_used_bytes=12 * GIB,
        disk_total_bytes=40 * GIB,
    )


_WEB = (
    "# Two of them, never on one machine.\n[Unit]\nDescription=Web server %i\n\n[Service]\n"
    "ExecStart=/usr/bin/python3 web.py --port 4200%i\nRestart=always\n\n"
    "[X-Fleet]\nConflicts=web@*.service\n"
)


def cluster() -> ClusterState:
    units = [
        unit("db1.service", "m1"),
        unit("db1-sidekick.service", "m1"),
        unit("db2.service", "m2"),
        unit("db2-sidekick.service", "m2"),
        unit("lb.service", "m3"),
        unit("web@.service", target=TargetState.INACTIVE, text=_WEB),
        unit("web@1.service", "m1", text=_WEB, age=41),
        unit("web@2.service", "m2", text=_WEB, age=2),
        unit("web-sidekick@1.service", "m1"),
        unit("cache.service", text="[Service]\nExecStart=/bin/x\n[X-Fleet]\n"
             "MachineMetadata=memory=big\n"),
    ]  # fmt: skip
    states = [
        state("db1.service", "m1"),
        state("db1-sidekick.service", "m1"),
        state("db2.service", "m2"),
        state("db2-sidekick.service", "m2"),
        state("lb.service", "m3"),
        state("web@1.service", "m1", age=41),
        state("web@2.service", "m2", active="activating", sub="start-pre", age=0),
        state("web-sidekick@1.service", "m1", age=40),
    ]
    machines = [machine(name) for name in MACHINES]
    return ClusterState(
        revision=1_482,
        units={held.name: held for held in units},
        machines={held.id: held for held in machines},
        states={(held.unit, held.machine_id): held for held in states},
        leader="m1",
    )


KEYS = (
    key("/services/db-master", "db1", 31),
    key("/services/db1", "127.0.0.1:41001", 29, lease=7),
    key("/services/db2", "127.0.0.1:41002", 30, lease=8),
    key("/services/web/1", "127.0.0.1:42001", 1_480, lease=9),
    key("/config/app", '{"colour": "blue", "replicas": 2}', 12),
    key("/c101/units/db1.service/target", "launched", 9),
    key("/c101/lease/engine-leader", "m1", 4, lease=3),
)

LINES = (
    line("m1", "web@1.service", "GET / 200 3ms", -2.0),
    line("m2", "web@2.service", "starting, reading /services/db-master", -1.9),
    line("m3", "lb.service", "upstream web@2 joined (2 of 2)", -1.4),
    line("m1", "db1.service", "write 12 rows", -1.1),
    line("m3", "lb.service", "upstream web@2 is slow: 812 ms", -0.9, 4),
    line("m2", "web@2.service", "GET / 200 2ms", -0.5),
    line("m2", "db2.service", "replication lost: connection reset by db1", -0.3, 3),
)


def access() -> FakeAccess:
    """Return a cluster that has run for two minutes."""
    made = FakeAccess(cluster(), KEYS)
    for entry in LINES:
        made.entries.setdefault(entry.machine_id, []).append(entry)
    for index, name in enumerate(MACHINES):
        made.usages[machine_id(name)] = usage(7.0 - index * 1.5, 0.31 - index * 0.02, 0.4)
    return made


def with_lost(held: ClusterState, name: str) -> ClusterState:
    """Return the cluster without one machine's agent, as after its lease."""
    gone = machine_id(name)
    states = {key: value for key, value in held.states.items() if key[1] != gone}
    machines = {**held.machines, gone: machine(name, present=False)}
    return replace(held, machines=machines, states=states, revision=held.revision + 1)
