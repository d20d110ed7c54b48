"""The records that the engine keeps."""

from dataclasses import replace

from c101.core.model.machine import Machine, MachineRecord
from c101.core.scheduler.attendance import RecordChange, changes
from tests.scheduler.builders import NOW, machine

LATER = NOW + 60


def told(*machines: Machine) -> dict[str, Machine]:
    return {one.id: one for one in machines}


def test_a_machine_without_a_record_is_given_one() -> None:
    stranger = replace(machine("m1", disk="ssd"), record=None)
    record = MachineRecord(
        id="m1",
        name="m1",
        addresses=("10.0.0.1",),
        metadata={"disk": "ssd"},
        added=LATER,
        last_seen=LATER,
    )
    assert changes(None, told(stranger), LATER) == [RecordChange(None, record)]


def test_a_machine_that_nothing_is_known_of_is_given_none() -> None:
    nothing = replace(machine("m1", lost=True), record=None)
    assert changes({}, told(nothing), LATER) == []


def test_a_machine_that_left_was_last_seen_when_it_left() -> None:
    before, after = machine("m1"), machine("m1", lost=True)
    (change,) = changes(told(before), told(after), LATER)
    assert change.before == after.record
    assert change.after.last_seen == LATER


def test_a_machine_that_came_is_seen_with_its_metadata() -> None:
    before, after = machine("m1", lost=True, disk="hdd"), machine("m1", disk="ssd")
    after = replace(after, record=before.record)
    (change,) = changes(told(before), told(after), LATER)
    assert (change.after.last_seen, change.after.metadata) == (LATER, {"disk": "ssd"})


def test_names_addresses_and_keys_of_a_record_stay_the_admins() -> None:
    record = MachineRecord(id="m1", name="db", addresses=("db.lan",), host_keys=("ssh-ed25519 A",))
    before = replace(machine("m1", lost=True), record=record)
    after = replace(machine("m1"), record=record)
    (change,) = changes(told(before), told(after), LATER)
    kept = (change.after.name, change.after.addresses, change.after.host_keys)
    assert kept == ("db", ("db.lan",), ("ssh-ed25519 A",))


def test_a_machine_that_stays_is_not_written_again() -> None:
    assert changes(told(machine("m1")), told(machine("m1")), LATER) == []
    assert changes(None, told(machine("m1"), machine("m2", lost=True)), LATER) == []
