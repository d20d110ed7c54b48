"""One agent, called over a channel."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from google.protobuf.message import Message

from c101.agents.client.remote_command import RemoteCommand
from c101.core.errors import NotFoundError
from c101.core.model.host import (
    Container,
    JournalBatch,
    MachineFacts,
    MachineUsage,
    TimerRuns,
    UnitProcess,
    UnitResources,
    UnitStatus,
)
from c101.core.model.journal import JournalEntry
from c101.core.model.unit import UnitState
from c101.core.proto import agent_pb2 as pb
from c101.core.rpc.channel import Channel
from c101.core.rpc.status import Code, RpcError

#: How long an agent may take for an answer that is not a stream.
TIMEOUT_SECONDS = 10.0
_SERVICE = "/c101.agent.v1."


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalMatch:
    """Which of a journal's entries are meant (all of them where nothing is said), and how much.

    ``grep`` is a regular expression where journald keeps the journal, else a plain text; ``boot`` a
    boot's id, or 0, -1 … Nothing said of units means the cluster's; with ``everything`` it is all
    that the machine's journal has. With ``all_fields`` entries carry every field that they have.
    """

    units: tuple[str, ...] = ()
    priority_max: int | None = None
    identifier: str = ""
    grep: str = ""
    boot: str = ""
    all_fields: bool = False
    everything: bool = False


_ALL = JournalMatch()


class AgentClient:
    """Calls the agent at the other end of *channel*, which stays its maker's to close.

    *machine_id* is put into what the agent says of units and journal; it is asked for once where
    it is not given. Every method raises LinkError and RpcError.
    """

    def __init__(self, channel: Channel, *, machine_id: str = "") -> None:
        self._channel = channel
        self._machine_id = machine_id

    async def facts(self) -> MachineFacts:
        """Ask what the machine is."""
        answer = pb.FactsResponse.FromString(await self._call("Machine/Facts", pb.FactsRequest()))
        self._machine_id = answer.machine_id
        return MachineFacts(
            machine_id=answer.machine_id,
            boot_id=answer.boot_id,
            hostname=answer.hostname,
            os=answer.os,
            kernel=answer.kernel,
            architecture=answer.architecture,
            cpus=answer.cpus,
            memory_bytes=answer.memory_bytes,
            agent_version=answer.agent_version,
            runtime=answer.runtime,
            booted_at=answer.booted_at_us / 1e6,
            metadata=dict(answer.metadata),
            kv_connected=answer.kv_connected,
            kv_since=answer.kv_since_us / 1e6,
        )

    async def ping(self, payload: bytes = b"") -> None:
        """See whether the agent answers."""
        await self._call("Machine/Ping", pb.PingRequest(payload=payload))

    async def units(self) -> list[UnitState]:
        """Ask what the machine's runtime holds."""
        machine_id = await self._id()
        answer = pb.ListUnitsResponse.FromString(
            await self._call("Units/ListUnits", pb.ListUnitsRequest())
        )
        return [_unit_state(unit, machine_id) for unit in answer.units]

    async def status(self, name: str) -> UnitStatus:
        """Ask about one unit. Raises NotFoundError: the machine does not hold it."""
        machine_id = await self._id()
        answer = pb.UnitStatusResponse.FromString(
            await self._call("Units/UnitStatus", pb.UnitStatusRequest(name=name))
        )
        return UnitStatus(
            state=_unit_state(answer.state, machine_id),
            description=answer.state.description,
            status_text=answer.status_text,
            processes=tuple(
                UnitProcess(
                    pid=one.pid,
                    command=one.command,
                    memory_bytes=one.memory_bytes,
                    cpu_seconds=one.cpu_seconds,
                )
                for one in answer.processes
            ),
            ignored=tuple(answer.ignored),
            resources=_resources(answer.resources) if answer.HasField("resources") else None,
            runs=_runs(answer.runs) if answer.HasField("runs") else None,
            containers=tuple(_container(one, machine_id) for one in answer.containers),
        )

    async def reload(self, name: str) -> None:
        """Have ExecReload= run. Raises NotFoundError; RpcError: it is not active or has none."""
        await self._call("Units/ReloadUnit", pb.ReloadUnitRequest(name=name))

    async def reset_failed(self, name: str) -> None:
        """Have a failure forgotten. Raises NotFoundError."""
        await self._call("Units/ResetFailedUnit", pb.ResetFailedUnitRequest(name=name))

    @asynccontextmanager
    async def usage(
        self, *, period_seconds: float = 0
    ) -> AsyncIterator[AsyncIterator[MachineUsage]]:
        """Read how the machine fares, at once and then every *period_seconds* (0: its default)."""
        request = pb.WatchUsageRequest(period_ms=int(period_seconds * 1000))
        async with self._channel.stream(_SERVICE + "Machine/WatchUsage") as stream:
            stream.send(request.SerializeToString())
            stream.end()
            yield (_usage(message) async for message in stream)

    @asynccontextmanager
    async def journal(
        self,
        match: JournalMatch = _ALL,
        *,
        after_cursor: str = "",
        since_us: int = 0,
        lines: int = 0,
        follow: bool = False,
    ) -> AsyncIterator[AsyncIterator[JournalBatch]]:
        """Read the machine's journal, oldest first; *lines* 0 is everything before following."""
        machine_id = await self._id()
        request = pb.ReadJournalRequest(
            units=match.units,
            priority=match.priority_max,
            identifier=match.identifier,
            grep=match.grep,
            boot=match.boot,
            all_fields=match.all_fields,
            everything=match.everything,
            after_cursor=after_cursor,
            since_us=since_us,
            lines=lines,
            follow=follow,
        )
        async with self._channel.stream(_SERVICE + "Journal/Read") as stream:
            stream.send(request.SerializeToString())
            stream.end()
            yield (_journal_batch(message, machine_id) async for message in stream)

    async def containers(self) -> tuple[list[Container], Sequence[str]]:
        """Ask what containers there are, and what engines said that did not answer."""
        machine_id = await self._id()
        answer = pb.ListContainersResponse.FromString(
            await self._call("Containers/List", pb.ListContainersRequest())
        )
        return [_container(one, machine_id) for one in answer.containers], tuple(answer.problems)

    @asynccontextmanager
    async def command(
        self,
        argv: Sequence[str],
        *,
        container_id: str = "",
        terminal: tuple[int, int] | None = None,
        term: str = "",
    ) -> AsyncIterator[RemoteCommand]:
        """Run a command, a shell if *argv* is empty; leaving the block ends it.

        It runs in a container or, without one, on the machine itself; with *terminal*, which is
        its rows and columns, on one of its own. Only an admin's link may.
        """
        begin = pb.Command(argv=argv, container=container_id, term=term)
        if terminal is not None:
            rows, columns = terminal
            begin.terminal.CopyFrom(pb.Window(rows=rows, columns=columns))
        async with self._channel.stream(_SERVICE + "Commands/Run") as stream:
            stream.send(pb.CommandInput(begin=begin).SerializeToString())
            yield RemoteCommand(stream)

    async def _id(self) -> str:
        if not self._machine_id:
            await self.facts()
        return self._machine_id

    async def _call(self, method: str, request: Message) -> bytes:
        try:
            return await self._channel.unary(
                _SERVICE + method, request.SerializeToString(), timeout=TIMEOUT_SECONDS
            )
        except RpcError as error:
            if error.status is Code.NOT_FOUND:
                raise NotFoundError(error.message) from error
            raise


def _unit_state(unit: pb.UnitState, machine_id: str) -> UnitState:
    return UnitState(
        unit=unit.name,
        machine_id=machine_id,
        load=unit.load,
        active=unit.active,
        sub=unit.sub,
        hash=unit.hash,
        since=unit.since_us / 1e6,
        result=unit.result,
        exit_status=unit.exit_status,
        main_pid=unit.main_pid or None,
        restarts=unit.restarts,
    )


def _resources(used: pb.UnitResources) -> UnitResources:
    return UnitResources(
        memory_bytes=used.memory_bytes if used.HasField("memory_bytes") else None,
        cpu_seconds=used.cpu_seconds if used.HasField("cpu_seconds") else None,
        tasks=used.tasks if used.HasField("tasks") else None,
        read_bytes=used.read_bytes if used.HasField("read_bytes") else None,
        written_bytes=used.written_bytes if used.HasField("written_bytes") else None,
        pressure=dict(used.pressure),
    )


def _container(one: pb.Container, machine_id: str) -> Container:
    return Container(
        engine=one.engine,
        id=one.id,
        name=one.name,
        image=one.image,
        state=one.state,
        health=one.health,
        ports=tuple(one.ports),
        unit=one.unit,
        machine_id=machine_id,
        pid=one.pid or None,
        resources=_resources(one.resources) if one.HasField("resources") else None,
    )


def _runs(runs: pb.TimerRuns) -> TimerRuns:
    return TimerRuns(
        last=runs.last_us / 1e6 if runs.last_us else None,
        next=runs.next_us / 1e6 if runs.next_us else None,
    )


def _usage(message: bytes) -> MachineUsage:
    usage = pb.Usage.FromString(message)
    return MachineUsage(
        at=usage.at_us / 1e6,
        cpu_percent=usage.cpu_percent,
        memory_used_bytes=usage.memory_used_bytes,
        memory_total_bytes=usage.memory_total_bytes,
        load1=usage.load1,
        disk_used_bytes=usage.disk_used_bytes,
        disk_total_bytes=usage.disk_total_bytes,
        pressure=dict(usage.pressure),
        reboot_required=usage.reboot_required,
        clock_offset=(
            usage.clock_offset_seconds if usage.HasField("clock_offset_seconds") else None
        ),
    )


def _journal_batch(message: bytes, machine_id: str) -> JournalBatch:
    batch = pb.JournalBatch.FromString(message)
    entries = tuple(
        JournalEntry(
            cursor=entry.cursor,
            realtime_us=entry.realtime_us,
            machine_id=machine_id,
            unit=entry.unit,
            priority=entry.priority,
            message=entry.message,
            pid=entry.pid,
            identifier=entry.identifier,
            fields=dict(entry.fields),
        )
        for entry in batch.entries
    )
    return JournalBatch(entries=entries, gap=batch.gap, caught_up=batch.caught_up)
