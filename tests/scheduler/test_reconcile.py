"""The decisions of the engine, a table row each."""

import time
from dataclasses import dataclass

import pytest

from c101.core.model.cluster import ClusterState
from c101.core.model.machine import Machine
from c101.core.model.unit import TargetState, Unit
from c101.core.scheduler.reconcile import reconcile
from tests.scheduler.builders import NOW, applied, cluster, machine, said, unit

M1, M2, M3 = machine("m1"), machine("m2"), machine("m3")
LOADED, INACTIVE = TargetState.LOADED, TargetState.INACTIVE


@dataclass(frozen=True)
class Row:
    machines: list[Machine]
    units: list[Unit]
    tasks: list[str]
    reason: str = ""


ROWS = {
    "an empty cluster needs nothing": Row([], [], []),
    "a unit without machines waits": Row([], [unit("a")], []),
    "a unit goes to the first of machines that are equal": Row(
        [M2, M1], [unit("a")], ["+a@m1"], "least loaded of 2 feasible"
    ),
    "a unit goes to the machine with fewest units": Row(
        [M1, M2], [unit("a", on="m1"), unit("b")], ["+b@m2"], "least loaded of 2 feasible"
    ),
    "units spread while they are placed": Row(
        [M1, M2], [unit("a"), unit("b"), unit("c")], ["+a@m1", "+b@m2", "+c@m1"]
    ),
    "global units count as load": Row(
        [M1, machine("m2", disk="ssd")],
        [unit("g", "Global=true", "MachineMetadata=disk=ssd"), unit("a"), unit("b")],
        ["+a@m1", "+b@m1"],
    ),
    "a loaded unit is placed like one that is launched": Row(
        [M1], [unit("a", target=LOADED)], ["+a@m1"], "the only feasible machine"
    ),
    "an inactive unit is placed nowhere": Row([M1], [unit("a", target=INACTIVE)], []),
    "a unit whose target is inactive is unscheduled": Row(
        [M1], [unit("a", on="m1", target=INACTIVE)], ["-a@m1"], "its target state is inactive"
    ),
    "a placed unit stays where it is however loaded that is": Row(
        [M1, M2], [unit(name, on="m1") for name in "abcd"], []
    ),
    "a global unit is placed nowhere": Row([M1], [unit("g", "Global=true")], []),
    "a unit that became global loses its placement": Row(
        [M1], [unit("g", "Global=true", on="m1")], ["-g@m1"], "it is global"
    ),
    "a template is not placed": Row([M1], [unit("a@.service")], []),
    "a unit whose options cannot be read waits": Row([M1], [unit("a", "Weight=3")], []),
    "a unit whose options cannot be read stays where it is": Row(
        [M1, M2], [unit("a", "Weight=3", on="m2")], []
    ),
    # machines
    "a unit of a lost machine is placed anew in one step": Row(
        [machine("m1", lost=True), M2, M3],
        [unit("a", on="m1")],
        ["a@m1>m2"],
        "left m1: it is lost; least loaded of 2 feasible",
    ),
    "a unit of a machine that has no key at all is placed anew": Row(
        [M2], [unit("a", on="m1")], ["a@m1>m2"], "left m1: it is lost"
    ),
    "a unit of a lost machine that fits nowhere else stays bound to it": Row(
        [machine("m1", lost=True, disk="ssd"), M2],
        [unit("a", "MachineMetadata=disk=ssd", on="m1")],
        [],
    ),
    "a unit whose target is inactive is unscheduled from a lost machine too": Row(
        [machine("m1", lost=True)], [unit("a", on="m1", target=INACTIVE)], ["-a@m1"]
    ),
    "a cordoned machine keeps what it has and is given nothing": Row(
        [machine("m1", cordoned=True), M2],
        [unit("a", on="m1"), unit("b"), unit("c")],
        ["+b@m2", "+c@m2"],
    ),
    "a draining machine gives away what it has": Row(
        [machine("m1", draining=True), M2],
        [unit("a", on="m1")],
        ["a@m1>m2"],
        "left m1: it is draining; the only feasible machine",
    ),
    "a draining machine gives up what fits nowhere else": Row(
        [machine("m1", draining=True, disk="ssd"), M2],
        [unit("a", "MachineMetadata=disk=ssd", on="m1")],
        ["-a@m1"],
        "left m1: it is draining; no other machine is feasible",
    ),
    # MachineID, MachineMetadata
    "a unit goes to the machine it names": Row(
        [M1, M2], [unit("a", "MachineID=m2")], ["+a@m2"], "the only feasible machine"
    ),
    "a unit that names no machine here waits": Row([M1, M2], [unit("a", "MachineID=m9")], []),
    "a machine may be named by the first eight characters of its id": Row(
        [machine("0123456789abcdef")], [unit("a", "MachineID=01234567")], ["+a@0123456789abcdef"]
    ),
    "a unit goes where the metadata is": Row(
        [M1, machine("m2", disk="ssd")], [unit("a", "MachineMetadata=disk=ssd")], ["+a@m2"]
    ),
    "every key of the metadata must fit, any of the values of each": Row(
        [
            machine("m1", zone="a"),
            machine("m2", zone="b", disk="hdd"),
            machine("m3", zone="b", disk="ssd"),
        ],
        [unit("a", 'MachineMetadata="zone=a" "zone=b"', "MachineMetadata=disk=ssd")],
        ["+a@m3"],
    ),
    "a unit leaves a machine whose metadata changed": Row(
        [machine("m1", disk="hdd"), machine("m2", disk="ssd")],
        [unit("a", "MachineMetadata=disk=ssd", on="m1")],
        ["a@m1>m2"],
        "left m1: metadata disk=ssd is wanted, it has disk=hdd",
    ),
    "an instance asks for what its own name says": Row(
        [machine("m1", host="1"), machine("m2", host="2")],
        [unit("a@2", "MachineMetadata=host=%i"), unit("a@1", "MachineMetadata=host=%i")],
        ["+a@1@m1", "+a@2@m2"],
    ),
    # Conflicts
    "instances in conflict go to different machines": Row(
        [M1, M2],
        [unit(f"web@{i}", "Conflicts=%p@*.service") for i in (1, 2, 3)],
        ["+web@1@m1", "+web@2@m2"],
    ),
    "a conflict holds in the other direction": Row(
        [M1, M2], [unit("a", "Conflicts=b.service", on="m1"), unit("b")], ["+b@m2"]
    ),
    "a unit is no conflict of itself": Row([M1], [unit("a", "Conflicts=*")], ["+a@m1"]),
    "of two in conflict on one machine the older stays": Row(
        [M1, M2],
        [unit("a", "Conflicts=b.service", on="m1", since=NOW + 1), unit("b", on="m1")],
        ["a@m1>m2"],
        "left m1: b.service is there, which its Conflicts=b.service bars",
    ),
    "of two in conflict on the only machine the younger waits": Row(
        [M1],
        [unit("a", on="m1", since=NOW + 1), unit("b", "Conflicts=a.service", on="m1")],
        ["-a@m1"],
        "left m1: b.service is there and bars it by Conflicts=a.service; no other machine",
    ),
    "a global unit bars what it is in conflict with": Row(
        [M1, machine("m2", disk="ssd")],
        [unit("g", "Global=true", "MachineMetadata=disk=ssd", "Conflicts=a.service"), unit("a")],
        ["+a@m1"],
    ),
    "a placed unit is not moved for a global one": Row(
        [M1], [unit("a", on="m1"), unit("g", "Global=true", "Conflicts=a.service")], []
    ),
    "a lost machine's units keep out nobody": Row(
        [machine("m1", lost=True), M2],
        [
            unit("web@1", "Conflicts=web@*", "MachineID=m1", on="m1"),
            unit("web@2", "Conflicts=web@*"),
        ],
        ["+web@2@m2"],
    ),
    # MachineOf
    "a follower goes where its peer is": Row(
        [M1, M2],
        [unit("x", on="m1"), unit("a", on="m2"), unit("b", "MachineOf=a.service")],
        ["+b@m2"],
    ),
    "a follower is placed with its peer in one pass": Row(
        [M1, M2],
        [unit("a", "MachineOf=z.service"), unit("y"), unit("z", "MachineID=m2")],
        ["+a@m2", "+y@m1", "+z@m2"],
    ),
    "a chain of followers is placed in one pass": Row(
        [M1, M2],
        [unit("a", "MachineOf=b.service"), unit("b", "MachineOf=c.service"), unit("c")],
        ["+a@m1", "+b@m1", "+c@m1"],
    ),
    "a follower moves with its peer": Row(
        [machine("m1", lost=True), M2, M3],
        [unit("a", on="m1"), unit("b", "MachineOf=a.service", on="m1"), unit("c", on="m2")],
        ["a@m1>m3", "b@m1>m3"],
    ),
    "a follower whose peer moved away goes after it": Row(
        [M1, M2],
        [unit("a", on="m2"), unit("b", "MachineOf=a.service", on="m1")],
        ["b@m1>m2"],
        "left m1: its peer a.service is on m2; the only feasible machine",
    ),
    "followers of followers go after them": Row(
        [machine("m1", disk="no"), machine("m2", disk="ssd")],
        [
            unit("a", "MachineMetadata=disk=ssd", on="m1"),
            unit("b", "MachineOf=a.service", on="m1"),
            unit("c", "MachineOf=b.service", on="m1"),
        ],
        ["a@m1>m2", "b@m1>m2", "c@m1>m2"],
    ),
    "a follower of a unit that is stopped is unscheduled": Row(
        [M1],
        [unit("a", target=INACTIVE), unit("b", "MachineOf=a.service", on="m1")],
        ["-b@m1"],
        "left m1: its peer a.service is placed nowhere; no other machine is feasible",
    ),
    "a follower whose peer is missing but not destroyed stays": Row(
        [M1], [unit("b", "MachineOf=gone.service", on="m1")], []
    ),
    "a follower of a global unit goes where that runs": Row(
        [M1, machine("m2", disk="ssd")],
        [
            unit("g", "Global=true", "MachineMetadata=disk=ssd"),
            unit("a", "MachineOf=g.service"),
        ],
        ["+a@m2"],
    ),
    "peers that wait for each other wait": Row(
        [M1], [unit("a", "MachineOf=b.service"), unit("b", "MachineOf=a.service")], []
    ),
    "peers of each other that are together stay": Row(
        [M1],
        [unit("a", "MachineOf=b.service", on="m1"), unit("b", "MachineOf=a.service", on="m1")],
        [],
    ),
    "a follower with two peers in two places waits": Row(
        [M1, M2],
        [
            unit("a", on="m1"),
            unit("b", on="m2"),
            unit("c", "MachineOf=a.service", "MachineOf=b.service"),
        ],
        [],
    ),
    # Replaces
    "a unit that replaces another takes its machine and moves it": Row(
        [machine("m1", disk="ssd"), M2],
        [
            unit("old", on="m1"),
            unit("new", "Replaces=old.service", "MachineMetadata=disk=ssd"),
        ],
        ["old@m1>m2", "+new@m1"],
        "left m1: new.service is there and replaces it; the only feasible machine",
    ),
    "a replaced unit without another machine waits": Row(
        [M1], [unit("old", on="m1"), unit("new", "Replaces=old.service")], ["-old@m1", "+new@m1"]
    ),
    "a replaced unit is not put where its replacer is": Row(
        [M1], [unit("new", "Replaces=old.service", on="m1"), unit("old")], []
    ),
    "units that replace each other are left alone": Row(
        [M1],
        [unit("a", "Replaces=b.service", on="m1"), unit("b", "Replaces=a.service", on="m1")],
        [],
    ),
    "followers of a replaced unit go with it": Row(
        [machine("m1", disk="ssd"), M2],
        [
            unit("new", "Replaces=old.service", "MachineMetadata=disk=ssd"),
            unit("old", on="m1"),
            unit("side", "MachineOf=old.service", on="m1"),
        ],
        ["old@m1>m2", "side@m1>m2", "+new@m1"],
    ),
    "what a replaced unit barred finds its place in the same pass": Row(
        [machine("m1", disk="ssd"), M2],
        [
            unit("apart", "Conflicts=old.service", "MachineMetadata=disk=ssd"),
            unit("new", "Replaces=old.service", "MachineMetadata=disk=ssd"),
            unit("old", on="m1"),
        ],
        ["old@m1>m2", "+apart@m1", "+new@m1"],
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_the_engine_decides(row: Row) -> None:
    state = cluster(row.machines, row.units)
    tasks = reconcile(state)
    assert said(tasks) == row.tasks
    if row.reason:
        assert tasks[0].reason.startswith(row.reason)
    assert all(task.reason for task in tasks)
    assert reconcile(applied(state, tasks)) == []


def test_a_follower_whose_peer_was_destroyed_is_unscheduled() -> None:
    state = cluster([M1], [unit("b", "MachineOf=a.service", on="m1")], destroyed=["a.service"])
    assert said(reconcile(state)) == ["-b@m1"]


def test_a_machine_that_comes_back_keeps_what_was_bound_to_it() -> None:
    bound = [unit("a", "MachineID=m1", on="m1")]
    assert reconcile(cluster([machine("m1", lost=True), M2], bound)) == []
    assert reconcile(cluster([M1, M2], bound)) == []


def large(units: int, machines: int) -> ClusterState:
    hosts = [
        machine(f"m{i:03}", zone="abc"[i % 3], disk="ssd" if i % 2 else "hdd")
        for i in range(machines)
    ]
    services = []
    for i in range(units):
        match i % 5:
            case 0:
                services.append(unit(f"plain{i}"))
            case 1:
                services.append(unit(f"zoned{i}", f"MachineMetadata=zone={'abc'[i % 3]}"))
            case 2:
                services.append(unit(f"apart{i // 250}@{i}", "Conflicts=%p@*.service"))
            case 3:
                services.append(unit(f"side{i}", f"MachineOf=plain{i - 3}.service"))
            case _:
                services.append(unit(f"never{i}", "MachineMetadata=disk=tape"))
    return cluster(hosts, services)


@pytest.mark.slow
def test_ten_thousand_units_on_a_hundred_machines_are_decided_at_once() -> None:
    """Not a benchmark: a bound that an accidental units-times-machines walk would break."""
    state = large(10_000, 100)
    tasks = reconcile(state)
    assert len(tasks) == 8_000
    settled = applied(state, tasks)
    began = time.perf_counter()
    assert reconcile(settled) == []
    assert time.perf_counter() - began < 3
