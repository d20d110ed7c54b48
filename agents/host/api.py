"""``c101.agent.v1`` on this machine: protobuf in and out, the runtime and the host behind it.

Desired state never passes here; what changes a unit for good is written to the KV.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

import psutil

from c101.agents.host.containers_api import ContainersApi
from c101.agents.host.linked import registered
from c101.agents.host.messages import resources
from c101.agents.host.record import recorded, who
from c101.agents.machine.facts import Facts
from c101.agents.machine.usage import UsageSampler
from c101.agents.runtime.unit_manager import JournalQuery, LoadedUnit, UnitManager
from c101.core.clock import Clock
from c101.core.errors import C101Error, NotFoundError
from c101.core.model.host import JournalBatch, MachineUsage, TimerRuns
from c101.core.proto import agent_pb2 as pb
from c101.core.rpc.server import ServerStream, StreamHandler, UnaryHandler, unary
from c101.core.rpc.status import Code, RpcError

logger = logging.getLogger(__name__)

USAGE_PERIOD_MS = 2_000
USAGE_PERIOD_MS_MIN = 200
#: Entries in one message of a journal stream.
JOURNAL_BATCH_MAX = 500
_SERVICE = "/c101.agent.v1."


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the agent says of itself."""

    machine_id: str
    runtime: str
    version: str
    metadata: Mapping[str, str]
    facts: Facts


class AgentApi:
    """The services of one agent."""

    def __init__(
        self,
        identity: Identity,
        units: UnitManager,
        clock: Clock,
        kv_link: Callable[[], tuple[bool, float]],
        containers: ContainersApi,
        clock_offset: Callable[[], float | None],
    ) -> None:
        self._identity = identity
        self._units = units
        self._clock = clock
        self._kv_link = kv_link
        self._containers = containers
        self._clock_offset = clock_offset

    def unary_methods(self, *, may_change: bool = True) -> dict[str, UnaryHandler]:
        """Return the methods with one answer, by path; for a viewer, those that change refuse."""
        methods: dict[str, Callable[[bytes], Awaitable[bytes]]] = {
            "Machine/Facts": self._facts,
            "Machine/Ping": self._ping,
            "Containers/List": self._containers.list_containers,
            "Units/ListUnits": self._list_units,
            "Units/UnitStatus": self._unit_status,
        }
        reload = self._reload_unit if may_change else _refuse
        reset_failed = self._reset_failed_unit if may_change else _refuse
        changing = {
            "Units/ReloadUnit": recorded("ReloadUnit", pb.ReloadUnitRequest, reload),
            "Units/ResetFailedUnit": recorded(
                "ResetFailedUnit", pb.ResetFailedUnitRequest, reset_failed
            ),
        }
        reading = {path: unary(method) for path, method in methods.items()}
        return {_SERVICE + path: handler for path, handler in {**reading, **changing}.items()}

    def stream_methods(self, *, may_run: bool = False) -> dict[str, StreamHandler]:
        """Return the streaming methods, by path; who is no admin may not run commands."""
        return {
            _SERVICE + "Commands/Run": self._containers.run_command if may_run else _refuse_stream,
            _SERVICE + "Machine/WatchUsage": self._watch_usage,
            _SERVICE + "Journal/Read": self._read_journal,
        }

    async def _facts(self, request: bytes) -> bytes:
        pb.FactsRequest.FromString(request)
        identity, facts = self._identity, self._identity.facts
        connected, since = self._kv_link()
        return pb.FactsResponse(
            machine_id=identity.machine_id,
            boot_id=facts.boot_id,
            hostname=facts.hostname,
            os=facts.os,
            kernel=facts.kernel,
            architecture=facts.architecture,
            cpus=facts.cpus,
            memory_bytes=facts.memory_bytes,
            agent_version=identity.version,
            runtime=identity.runtime,
            booted_at_us=_microseconds(facts.booted_at),
            metadata=dict(identity.metadata),
            kv_connected=connected,
            kv_since_us=_microseconds(since),
        ).SerializeToString()

    async def _ping(self, request: bytes) -> bytes:
        payload = pb.PingRequest.FromString(request).payload
        return pb.PingResponse(payload=payload).SerializeToString()

    async def _list_units(self, request: bytes) -> bytes:
        pb.ListUnitsRequest.FromString(request)
        units = [_unit_state(unit) for unit in await self._units.units()]
        return pb.ListUnitsResponse(units=units).SerializeToString()

    async def _unit_status(self, request: bytes) -> bytes:
        name = pb.UnitStatusRequest.FromString(request).name
        for unit in await self._units.units(processes=True):
            if unit.name == name:
                return pb.UnitStatusResponse(
                    state=_unit_state(unit),
                    processes=_processes(unit.pids),
                    ignored=unit.ignored,
                    status_text=unit.status_text,
                    resources=resources(unit.resources),
                    runs=_runs(unit.runs),
                    containers=await self._containers.of_unit(unit),
                ).SerializeToString()
        raise RpcError(Code.NOT_FOUND, f"unit {name} is not on this machine")

    async def _reload_unit(self, request: bytes) -> bytes:
        name = pb.ReloadUnitRequest.FromString(request).name
        await _order(self._units.reload(name))
        return pb.ReloadUnitResponse().SerializeToString()

    async def _reset_failed_unit(self, request: bytes) -> bytes:
        name = pb.ResetFailedUnitRequest.FromString(request).name
        await _order(self._units.reset_failed(name))
        return pb.ResetFailedUnitResponse().SerializeToString()

    async def _watch_usage(self, stream: ServerStream) -> None:
        request = pb.WatchUsageRequest.FromString(await _only_message(stream))
        period = max(request.period_ms or USAGE_PERIOD_MS, USAGE_PERIOD_MS_MIN) / 1000
        sampler = UsageSampler(self._clock)
        while True:
            stream.send(_usage(sampler.sample(), self._clock_offset()))
            await stream.drain()
            await self._clock.sleep(period)

    async def _read_journal(self, stream: ServerStream) -> None:
        request = pb.ReadJournalRequest.FromString(await _only_message(stream))
        query = JournalQuery(
            units=tuple(request.units),
            priority_max=request.priority if request.HasField("priority") else None,
            after_cursor=request.after_cursor,
            since_us=request.since_us,
            lines=request.lines,
            follow=request.follow,
            identifier=request.identifier,
            grep=request.grep,
            boot=request.boot,
            all_fields=request.all_fields,
            everything=request.everything,
        )
        try:
            async with self._units.journal(query) as chunks:
                async for chunk in chunks:
                    for batch in _batches(chunk):
                        stream.send(batch)
                        # A reader that does not read holds us: the journal waits on disk.
                        await stream.drain()
        except C101Error as error:
            # Nothing that was asked for can be wrong but a cursor, a boot or an expression.
            raise RpcError(Code.INVALID_ARGUMENT, str(error)) from error


async def _order(order: Awaitable[None]) -> None:
    try:
        await order
    except NotFoundError as error:
        raise RpcError(Code.NOT_FOUND, str(error)) from error
    except C101Error as error:
        raise RpcError(Code.FAILED_PRECONDITION, str(error)) from error


async def _only_message(stream: ServerStream) -> bytes:
    async for message in stream:
        return message
    raise RpcError(Code.INVALID_ARGUMENT, "the request is missing")


async def _refuse(request: bytes) -> bytes:
    del request
    raise RpcError(Code.PERMISSION_DENIED, "viewers change nothing")


async def _refuse_stream(stream: ServerStream) -> None:
    logger.warning("refused", extra={**who(stream.peer), "method": "Run"})
    raise RpcError(Code.PERMISSION_DENIED, "only admins run commands")


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)


def _usage(usage: MachineUsage, clock_offset: float | None) -> bytes:
    return pb.Usage(
        at_us=_microseconds(usage.at),
        cpu_percent=usage.cpu_percent,
        memory_used_bytes=usage.memory_used_bytes,
        memory_total_bytes=usage.memory_total_bytes,
        load1=usage.load1,
        disk_used_bytes=usage.disk_used_bytes,
        disk_total_bytes=usage.disk_total_bytes,
        pressure=usage.pressure,
        reboot_required=usage.reboot_required,
        clock_offset_seconds=clock_offset,
    ).SerializeToString()


def _unit_state(unit: LoadedUnit) -> pb.UnitState:
    return pb.UnitState(
        name=unit.name,
        load=unit.load,
        active=unit.active,
        sub=unit.sub,
        hash=registered(unit.hash),
        since_us=_microseconds(unit.since),
        result=unit.result,
        exit_status=unit.exit_status or 0,
        main_pid=unit.main_pid or 0,
        restarts=unit.restarts,
        description=unit.description,
    )


def _runs(runs: TimerRuns | None) -> pb.TimerRuns | None:
    if runs is None:
        return None
    return pb.TimerRuns(
        last_us=_microseconds(runs.last or 0), next_us=_microseconds(runs.next or 0)
    )


def _processes(pids: Iterable[int]) -> list[pb.Process]:
    found = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            found.append(
                pb.Process(
                    pid=pid,
                    command=" ".join(process.cmdline()) or process.name(),
                    memory_bytes=process.memory_info().rss,
                    cpu_seconds=times.user + times.system,
                )
            )
        except psutil.Error:
            continue  # it ended while we looked
    return found


def _batches(chunk: JournalBatch) -> list[bytes]:
    """Return *chunk* as messages; a chunk without entries still says what it knows."""
    starts = range(0, len(chunk.entries), JOURNAL_BATCH_MAX) or [0]
    last = starts[-1]
    return [
        pb.JournalBatch(
            entries=[
                pb.JournalEntry(
                    cursor=entry.cursor,
                    realtime_us=entry.realtime_us,
                    unit=entry.unit,
                    priority=entry.priority,
                    message=entry.message,
                    pid=entry.pid,
                    identifier=entry.identifier,
                    fields=entry.fields,
                )
                for entry in chunk.entries[start : start + JOURNAL_BATCH_MAX]
            ],
            gap=chunk.gap and start == 0,
            caught_up=chunk.caught_up and start == last,
        ).SerializeToString()
        for start in starts
    ]
