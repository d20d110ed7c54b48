"""The verbs, on a real KV."""

import asyncio

import pytest

from c101.core.errors import ConflictError, InvalidNameError, NotFoundError
from c101.core.etcd import txn
from c101.core.etcd.client import Client
from c101.core.model.machine import MachineIntent, MachineState
from c101.core.model.unit import TargetState
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.records import RecordError
from c101.core.registry.registry import Registry
from c101.core.units.file import UnitFileError
from tests.fakes.clock import FakeClock
from tests.registry.cluster_keys import SERVICE, placement, record

OTHER = "[Service]\nExecStart=/bin/false\n"
WEB = "web.service"


async def test_a_submitted_unit_is_known_and_wanted_inactive(registry: Registry) -> None:
    unit = await registry.submit(WEB, SERVICE)
    assert (unit.name, unit.text, unit.target) == (WEB, SERVICE, TargetState.INACTIVE)
    assert unit.target_revision > 0
    assert await registry.unit(WEB) == unit
    assert await registry.units() == [unit]


async def test_submitting_the_same_again_changes_nothing(registry: Registry) -> None:
    await registry.submit(WEB, SERVICE)
    launched = await registry.set_target(WEB, TargetState.LAUNCHED)
    assert await registry.submit(WEB, SERVICE) == launched


async def test_another_text_under_a_known_name_needs_replace(registry: Registry) -> None:
    before = await registry.submit(WEB, SERVICE)
    with pytest.raises(ConflictError) as caught:
        await registry.submit(WEB, OTHER)
    assert caught.value.hint is not None
    assert "--replace" in caught.value.hint
    assert await registry.unit(WEB) == before
    after = await registry.submit(WEB, OTHER, replace=True)
    assert after.text == OTHER
    assert after.hash != before.hash
    assert after.target_revision == before.target_revision


@pytest.mark.parametrize("name", ["web", "../web.service", "web.servICE", "", "@1.service"])
async def test_a_name_outside_the_rules_is_refused(registry: Registry, name: str) -> None:
    with pytest.raises(InvalidNameError):
        await registry.submit(name, SERVICE)
    with pytest.raises(InvalidNameError):
        await registry.set_target(name, TargetState.LAUNCHED)
    with pytest.raises(InvalidNameError):
        await registry.destroy(name)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[Service\n", "web.service:1"),
        ("[X-Fleet]\nMachineMetadata=foo\n", "not of the form key=value"),
        ("[X-Fleet]\nGlobal=true\nMachineOf=db.service\n", "cannot be used together"),
    ],
)
async def test_a_file_that_is_wrong_is_refused_and_nothing_is_written(
    registry: Registry, text: str, reason: str
) -> None:
    with pytest.raises(UnitFileError, match=reason):
        await registry.submit(WEB, text)
    assert await registry.units() == []


async def test_a_template_is_checked_as_its_instances_will_see_it(registry: Registry) -> None:
    text = SERVICE + "[X-Fleet]\nMachineMetadata=zone=%i\nMachineOf=db@%i.service\n"
    await registry.submit("web@.service", text)
    with pytest.raises(UnitFileError):
        await registry.submit("bad@.service", SERVICE + "[X-Fleet]\nMachineMetadata=%i\n")


async def test_a_template_is_submitted_and_never_run(registry: Registry) -> None:
    await registry.submit("web@.service", SERVICE)
    with pytest.raises(InvalidNameError, match="is a template"):
        await registry.set_target("web@.service", TargetState.LAUNCHED)
    with pytest.raises(InvalidNameError, match="is a template"):
        await registry.request_restart("web@.service", "r1")


async def test_an_instance_is_made_from_its_template(registry: Registry) -> None:
    await registry.submit("web@.service", SERVICE)
    made = await registry.instantiate("web@1.service")
    assert (made.name, made.text) == ("web@1.service", SERVICE)
    assert await registry.instantiate("web@1.service") == made


async def test_a_unit_of_its_own_comes_before_its_template(registry: Registry) -> None:
    await registry.submit("web@.service", SERVICE)
    own = await registry.submit("web@1.service", OTHER)
    assert await registry.instantiate("web@1.service") == own


async def test_without_unit_and_template_there_is_nothing_to_make(registry: Registry) -> None:
    with pytest.raises(NotFoundError, match=r"no template web@\.service"):
        await registry.instantiate("web@1.service")
    with pytest.raises(NotFoundError):
        await registry.instantiate(WEB)


async def test_the_same_target_again_changes_nothing(registry: Registry) -> None:
    await registry.submit(WEB, SERVICE)
    first = await registry.set_target(WEB, TargetState.LAUNCHED)
    again = await registry.set_target(WEB, TargetState.LAUNCHED)
    assert first.target is TargetState.LAUNCHED
    assert again == first


async def test_a_unit_that_is_not_known_is_not_found_by_any_verb(registry: Registry) -> None:
    with pytest.raises(NotFoundError):
        await registry.set_target(WEB, TargetState.LOADED)
    with pytest.raises(NotFoundError):
        await registry.request_restart(WEB, "r1")
    with pytest.raises(NotFoundError):
        await registry.destroy(WEB)
    with pytest.raises(NotFoundError):
        await registry.unit(WEB)


async def test_a_restart_is_asked_for_by_an_id(registry: Registry) -> None:
    await registry.submit(WEB, SERVICE)
    await registry.request_restart(WEB, "r1")
    assert (await registry.unit(WEB)).restart == "r1"
    for restart_id in ("", "x" * 257):
        with pytest.raises(InvalidNameError):
            await registry.request_restart(WEB, restart_id)


async def test_a_destroyed_unit_leaves_a_mark_until_it_is_submitted_anew(
    registry: Registry, clock: FakeClock
) -> None:
    unit = await registry.submit(WEB, SERVICE)
    assert await registry.place(unit, placement())
    await registry.destroy(WEB)
    gone = await registry.snapshot()
    assert gone.units == {}
    assert gone.destroyed == {WEB: clock.time()}
    again = await registry.submit(WEB, SERVICE)
    assert again.placement is None
    assert (await registry.snapshot()).destroyed == {}


async def test_a_unit_is_placed_once_and_taken_off_once(registry: Registry) -> None:
    await registry.submit(WEB, SERVICE)
    unit = await registry.set_target(WEB, TargetState.LAUNCHED)
    assert await registry.place(unit, placement("m1"))
    assert not await registry.place(unit, placement("m2")), "somebody placed it meanwhile"
    placed = await registry.unit(WEB)
    assert placed.placement == placement("m1")
    assert not await registry.unplace(unit)
    assert await registry.unplace(placed)
    assert not await registry.unplace(placed)
    assert (await registry.unit(WEB)).placement is None


async def test_a_unit_whose_target_changed_meanwhile_is_not_placed(registry: Registry) -> None:
    unit = await registry.submit(WEB, SERVICE)
    await registry.set_target(WEB, TargetState.LAUNCHED)
    assert not await registry.place(unit, placement())


async def test_a_destroyed_unit_is_not_placed(registry: Registry) -> None:
    unit = await registry.submit(WEB, SERVICE)
    await registry.destroy(WEB)
    assert not await registry.place(unit, placement())
    assert WEB not in (await registry.snapshot()).units


async def test_one_who_leads_no_longer_places_nothing(
    registry: Registry, client: Client, keyspace: Keyspace
) -> None:
    unit = await registry.submit(WEB, SERVICE)
    leads = await client.put(keyspace.engine_leader, "first")
    fence = [txn.mod_revision(keyspace.engine_leader).equals(leads.revision)]
    await client.put(keyspace.engine_leader, "second")
    assert not await registry.place(unit, placement(), fence=fence)
    assert not await registry.unplace(unit, fence=fence)


async def test_of_several_who_submit_different_files_at_once_one_prevails(
    registry: Registry,
) -> None:
    texts = [f"[Service]\nExecStart=/bin/sleep {number}\n" for number in range(6)]
    outcomes = await asyncio.gather(
        *(registry.submit(WEB, text) for text in texts), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
    assert len(refused) == 5
    replaced = await asyncio.gather(*(registry.submit(WEB, t, replace=True) for t in texts))
    assert {unit.text for unit in replaced} == set(texts)


async def test_a_damaged_unit_is_named_by_its_fault_and_can_be_destroyed(
    registry: Registry, client: Client, keyspace: Keyspace
) -> None:
    await registry.submit(WEB, SERVICE)
    await client.put(keyspace.unit_placement(WEB), '{"machine_id":"m1","reason":1,"since":0}')
    with pytest.raises(RecordError, match=r"units/web.service/placement: \$\.reason: Expected str"):
        await registry.unit(WEB)
    with pytest.raises(RecordError):
        await registry.set_target(WEB, TargetState.LAUNCHED)
    target = await client.get(keyspace.unit_target(WEB))
    assert target is not None
    assert target.value == b"inactive"
    snapshot = await registry.snapshot()
    assert list(snapshot.damaged) == ["units/web.service/placement"]
    assert snapshot.units == {}
    await registry.destroy(WEB)
    assert (await registry.snapshot()).damaged == {}


async def test_a_damaged_file_can_be_replaced(
    registry: Registry, client: Client, keyspace: Keyspace
) -> None:
    await client.put(keyspace.unit_file(WEB), "nonsense")
    assert (await registry.submit(WEB, SERVICE, replace=True)).text == SERVICE


async def test_a_machine_is_recorded_once_and_changed_knowingly(registry: Registry) -> None:
    assert await registry.add_machine_record(record("m1", name="alpha"))
    assert not await registry.add_machine_record(record("m1", name="beta"))
    await registry.put_machine_record(
        record("m1", name="gamma"), expected=record("m1", name="alpha")
    )
    with pytest.raises(ConflictError):
        await registry.put_machine_record(
            record("m1", name="delta"), expected=record("m1", name="alpha")
        )
    await registry.put_machine_record(record("m2", name="zeta"))
    assert [machine.name for machine in await registry.machines()] == ["gamma", "zeta"]


async def test_what_is_wanted_of_a_machine_needs_a_machine(registry: Registry) -> None:
    intent = MachineIntent(id="m1", cordoned=True)
    with pytest.raises(NotFoundError):
        await registry.set_intent(intent)
    await registry.put_machine_record(record("m1"))
    await registry.set_intent(intent)
    (machine,) = await registry.machines()
    assert machine.intent == intent
    assert machine.state is MachineState.LOST


@pytest.mark.parametrize("machine_id", ["", "a/b", "..", "a b", "x" * 300])
async def test_a_machine_id_that_cannot_be_a_key_is_refused(
    registry: Registry, machine_id: str
) -> None:
    with pytest.raises(InvalidNameError):
        await registry.put_machine_record(record(machine_id))


async def test_a_registry_of_many_pages_is_read_whole_and_at_one_revision(
    registry: Registry, client: Client, keyspace: Keyspace
) -> None:
    for start in range(0, 1_100, 100):
        await client.transaction(
            compare=[],
            success=[
                txn.Put(keyspace.unit_file(f"u{n}.service"), SERVICE)
                for n in range(start, start + 100)
            ],
        )
    snapshot = await registry.snapshot()
    assert len(snapshot.units) == 1_100
    assert snapshot.damaged == {}
