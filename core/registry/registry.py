"""The verbs: what people and the engine may do to what the cluster wants.

Each is one transaction that compares what it rests on, so that two at once give what one after the
other would, or one of them a ``ConflictError``. Names and unit files are checked before anything is
written.
"""

from collections.abc import Sequence

from c101.core.clock import Clock
from c101.core.errors import ConflictError, InvalidNameError, NotFoundError
from c101.core.etcd import txn
from c101.core.etcd.client import Client
from c101.core.etcd.keys import prefix_end
from c101.core.etcd.results import RangeResult, TxnResult
from c101.core.etcd.txn import Compare, Delete, Get, Put
from c101.core.model.cluster import ClusterState
from c101.core.model.key_value import KeyValue
from c101.core.model.machine import Machine, MachineIntent, MachineRecord
from c101.core.model.unit import Placement, TargetState, Unit
from c101.core.registry import records
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.records import RecordError
from c101.core.registry.snapshot import read_view
from c101.core.registry.view import view_of
from c101.core.units import references
from c101.core.units.file import UnitFile
from c101.core.units.name import UnitName
from c101.core.units.requirements import Requirements

#: A verb that is overtaken by others so often gives up with ConflictError.
ATTEMPTS_MAX = 8


class Registry:
    """The verbs on one cluster. Raises what the client raises, besides what each verb says."""

    def __init__(self, client: Client, keyspace: Keyspace, clock: Clock) -> None:
        self._client = client
        self._keyspace = keyspace
        self._clock = clock

    # Units, for people

    async def submit(self, name: str, text: str, *, replace: bool = False) -> Unit:
        """Make a unit known, wanted inactive; with *replace*, change the file of one that is known.

        The same text again changes nothing. Returns the unit as it stands.

        Raises:
            InvalidNameError: the name is outside the rules.
            UnitFileError: the file is.
            ConflictError: the name is known with another file.
        """
        check_unit(UnitName.parse(name), text, source=name)
        for _ in range(ATTEMPTS_MAX):
            result = await self._create(name, text)
            if result.succeeded:
                return self._unit(name, result)
            known = self._key(result, self._keyspace.unit_file(name))
            assert known is not None  # it was compared and read in one transaction
            if known.value == text.encode():
                return self._unit(name, result)
            if not replace:
                raise ConflictError(
                    f"{name} is known with another file",
                    hint="--replace changes it; cat shows what is there",
                )
            result = await self._swap(name, text, known)
            if result.succeeded:
                return self._unit(name, result)
        raise ConflictError(f"{name} keeps being changed by others")

    async def instantiate(self, name: str) -> Unit:
        """Return the unit; one that is not known is made from its template, if that is known.

        This is the registry's part of fleet's order of lookup: unit, (local file), template.

        Raises NotFoundError: neither is known. InvalidNameError.
        """
        parsed = UnitName.parse(name)
        try:
            return await self.unit(name)
        except NotFoundError:
            if parsed.template is None:
                raise
        try:
            template = await self.unit(parsed.template)
        except NotFoundError:
            raise NotFoundError(
                f"{name}: no such unit, and no template {parsed.template}",
                hint=f"submit {name} or {parsed.template}",
            ) from None
        return await self.submit(name, template.text)

    async def set_target(self, name: str, target: TargetState) -> Unit:
        """Say what the cluster wants of a unit; the same again changes nothing.

        Raises NotFoundError. InvalidNameError: it is a template. RecordError: a part of the unit is
        damaged; nothing is changed.
        """
        refuse_template(UnitName.parse(name))
        file, key = self._keyspace.unit_file(name), self._keyspace.unit_target(name)
        result = await self._client.transaction(
            compare=[txn.create_revision(file).greater(0), txn.value(key).equals(target)],
            success=[self._all_of(name)],
            failure=[self._all_of(name)],
        )
        if not result.succeeded:
            self._unit(name, result)
            result = await self._client.transaction(
                compare=[txn.create_revision(file).greater(0)],
                success=[Put(key, target), self._all_of(name)],
            )
        if not result.succeeded:
            raise _no_unit(name)
        return self._unit(name, result)

    async def request_restart(self, name: str, restart_id: str) -> None:
        """Have the unit restarted once, wherever it runs; *restart_id* is new for each request.

        Raises NotFoundError. InvalidNameError: a template, or an id that is empty or too long.
        """
        refuse_template(UnitName.parse(name))
        if not 0 < len(restart_id.encode()) <= records.WORD_BYTES_MAX:
            raise InvalidNameError(f"not an id for a restart: {restart_id[:40]!r}")
        result = await self._client.transaction(
            compare=[txn.create_revision(self._keyspace.unit_file(name)).greater(0)],
            success=[Put(self._keyspace.unit_restart(name), restart_id)],
        )
        if not result.succeeded:
            raise _no_unit(name)

    async def destroy(self, name: str) -> None:
        """Forget a unit, damaged or not, and leave the mark that lets agents stop it.

        Raises NotFoundError, InvalidNameError.
        """
        UnitName.parse(name)
        prefix = self._keyspace.unit(name)
        end = prefix_end(prefix.encode())
        result = await self._client.transaction(
            # Of a range without a key the revision counts as 0.
            compare=[txn.create_revision(prefix, end).greater(0)],
            success=[
                Delete(prefix, end),
                Put(self._keyspace.unit_destroyed(name), records.encode_time(self._clock.time())),
            ],
        )
        if not result.succeeded:
            raise _no_unit(name)

    # Reading

    async def unit(self, name: str) -> Unit:
        """Return one unit.

        Raises NotFoundError, InvalidNameError. RecordError: a part of it is damaged.
        """
        UnitName.parse(name)
        found = await self._client.get_prefix(self._keyspace.unit(name))
        return self._assembled(name, found)

    async def units(self) -> list[Unit]:
        """Return every unit that is not damaged, by name."""
        cluster = await self._read(self._keyspace.units)
        return [unit for _, unit in sorted(cluster.units.items())]

    async def machines(self) -> list[Machine]:
        """Return every machine that is known, by id."""
        cluster = await self._read(self._keyspace.machines)
        return [machine for _, machine in sorted(cluster.machines.items())]

    async def snapshot(self) -> ClusterState:
        """Return everything, at one revision."""
        return await self._read(self._keyspace.prefix)

    # Machines

    async def put_machine_record(
        self, record: MachineRecord, *, expected: MachineRecord | None = None
    ) -> None:
        """Write the durable record of a machine; with *expected*, only over exactly that one.

        Raises ConflictError: it is another one by now, or there is none. InvalidNameError: its id.
        """
        key = self._keyspace.machine_record(record.id)
        compare: list[Compare] = []
        if expected is not None:
            compare.append(txn.value(key).equals(records.encode(expected)))
        put = Put(key, records.encode(record))
        result = await self._client.transaction(compare=compare, success=[put])
        if not result.succeeded:
            raise ConflictError(f"the record of machine {record.id} was changed by somebody else")

    async def add_machine_record(self, record: MachineRecord) -> bool:
        """Write the record of a machine that has none; return whether that was done."""
        key = self._keyspace.machine_record(record.id)
        return await self._client.put_if_not_exists(key, records.encode(record))

    async def set_intent(self, intent: MachineIntent) -> None:
        """Say what is wanted of a machine. Raises NotFoundError: the machine is not known."""
        machine = self._keyspace.machine(intent.id)
        result = await self._client.transaction(
            compare=[txn.create_revision(machine, prefix_end(machine.encode())).greater(0)],
            success=[Put(self._keyspace.machine_intent(intent.id), records.encode(intent))],
        )
        if not result.succeeded:
            raise NotFoundError(f"machine {intent.id} is not known")

    async def forget_machine(self, machine_id: str) -> None:
        """Delete all that is known of a machine; what it reported ends with its lease."""
        await self._client.delete_prefix(self._keyspace.machine(machine_id))

    # Placements, for the engine

    async def place(
        self, unit: Unit, placement: Placement, *, fence: Sequence[Compare] = ()
    ) -> bool:
        """Put *unit* on a machine; return whether that was done.

        It is not when its placement or its target changed since *unit* was read, or when *fence*
        (that the engine still leads) does not hold.
        """
        put = Put(self._keyspace.unit_placement(unit.name), records.encode(placement))
        result = await self._client.transaction(
            compare=[*self._unchanged(unit), *fence], success=[put]
        )
        return result.succeeded

    async def unplace(self, unit: Unit, *, fence: Sequence[Compare] = ()) -> bool:
        """Take *unit* off its machine, under the same conditions. Return whether that was done."""
        result = await self._client.transaction(
            compare=[*self._unchanged(unit), *fence],
            success=[Delete(self._keyspace.unit_placement(unit.name))],
        )
        return result.succeeded

    def _unchanged(self, unit: Unit) -> list[Compare]:
        keyspace = self._keyspace
        return [
            txn.create_revision(keyspace.unit_file(unit.name)).greater(0),
            txn.mod_revision(keyspace.unit_target(unit.name)).equals(unit.target_revision),
            txn.mod_revision(keyspace.unit_placement(unit.name)).equals(unit.placement_revision),
        ]

    # How it is done

    async def _create(self, name: str, text: str) -> TxnResult:
        keyspace = self._keyspace
        return await self._client.transaction(
            compare=[txn.create_revision(keyspace.unit_file(name)).equals(0)],
            success=[
                Put(keyspace.unit_file(name), text),
                Put(keyspace.unit_target(name), TargetState.INACTIVE),
                Delete(keyspace.unit_destroyed(name)),
                self._all_of(name),
            ],
            failure=[self._all_of(name)],
        )

    async def _swap(self, name: str, text: str, known: KeyValue) -> TxnResult:
        return await self._client.transaction(
            compare=[txn.mod_revision(known.key).equals(known.mod_revision)],
            success=[Put(known.key, text), self._all_of(name)],
        )

    def _all_of(self, name: str) -> Get:
        prefix = self._keyspace.unit(name)
        return Get(prefix, prefix_end(prefix.encode()))

    def _key(self, result: TxnResult, key: str) -> KeyValue | None:
        found = _last_range(result)
        return next((kv for kv in found.kvs if kv.key == key.encode()), None)

    def _unit(self, name: str, result: TxnResult) -> Unit:
        return self._assembled(name, _last_range(result))

    def _assembled(self, name: str, found: RangeResult) -> Unit:
        if not found.kvs:
            raise _no_unit(name)
        cluster = view_of(self._keyspace, found.kvs, found.revision).cluster
        for key, what in cluster.damaged.items():
            path, _, reason = what.partition(": ")
            raise RecordError(key, path, reason)
        return cluster.units[name]

    async def _read(self, prefix: str) -> ClusterState:
        view, _ = await read_view(self._client, self._keyspace, prefix)
        return view.cluster


def check_unit(name: UnitName, text: str, *, source: str) -> None:
    """See whether a unit of that name and text would be taken; *source* is for messages.

    Raises UnitFileError: file, line and reason.
    """
    runs_as = _as_it_will_run(name)
    Requirements.of(runs_as, UnitFile.parse(text, source))
    references.check(text, runs_as, source=source)


def _last_range(result: TxnResult) -> RangeResult:
    found = result.responses[-1]
    assert isinstance(found, RangeResult)
    return found


def _as_it_will_run(name: UnitName) -> UnitName:
    """Return *name*; of a template, an instance: what it asks is checked as instances will see it.

    ``MachineMetadata=zone=%i`` is malformed as long as there is no instance.
    """
    return UnitName.parse(f"{name.prefix}@1.{name.suffix}") if name.is_template else name


def refuse_template(name: UnitName) -> None:
    """Raise InvalidNameError where *name* is a template: it is not run itself."""
    if name.is_template:
        raise InvalidNameError(
            f"{name} is a template: it is not run itself",
            hint=f"start an instance of it, such as {name.prefix}@1.{name.suffix}",
        )


def _no_unit(name: str) -> NotFoundError:
    return NotFoundError(f"unit {name} is not known")
