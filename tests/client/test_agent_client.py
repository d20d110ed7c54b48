"""Model objects out of what an agent answers, over a real connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from c101.agents.client.agent_client import AgentClient, JournalMatch
from c101.core.errors import LinkError, NotFoundError
from c101.core.model.host import UnitResources
from c101.core.proto import agent_pb2 as pb
from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import UnixDialer
from c101.core.rpc.server import Server, ServerStream, unary
from c101.core.rpc.status import Code, RpcError

SERVICE = "/c101.agent.v1."
STATE = pb.UnitState(
    name="web.service",
    load="loaded",
    active="active",
    sub="running",
    hash="abc",
    since_us=1_500_000,
    result="success",
    main_pid=42,
    restarts=3,
    description="The web",
)


class Agent:
    """An agent that answers what a test tells it, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.journal: pb.ReadJournalRequest | None = None
        self.batches = [
            pb.JournalBatch(
                entries=[
                    pb.JournalEntry(
                        cursor=f"c{n}", realtime_us=n, unit="web.service", message=b"\xff%d" % n
                    )
                ],
                gap=n == 0,
                caught_up=n == 2,
            )
            for n in range(3)
        ]

    def server(self) -> Server:
        return Server(
            {
                SERVICE + "Machine/Facts": unary(self._facts),
                SERVICE + "Machine/Ping": unary(self._ping),
                SERVICE + "Units/ListUnits": unary(self._list),
                SERVICE + "Units/UnitStatus": unary(self._status),
                SERVICE + "Units/ReloadUnit": unary(self._reload),
            },
            {
                SERVICE + "Machine/WatchUsage": self._usage,
                SERVICE + "Journal/Read": self._read,
            },
        )

    async def _facts(self, _request: bytes) -> bytes:
        self.asked.append("facts")
        return pb.FactsResponse(
            machine_id="m-1", hostname="h", booted_at_us=2_000_000, metadata={"disk": "ssd"}
        ).SerializeToString()

    async def _ping(self, request: bytes) -> bytes:
        return pb.PingResponse(
            payload=pb.PingRequest.FromString(request).payload
        ).SerializeToString()

    async def _list(self, _request: bytes) -> bytes:
        return pb.ListUnitsResponse(units=[STATE]).SerializeToString()

    async def _status(self, request: bytes) -> bytes:
        if pb.UnitStatusRequest.FromString(request).name != STATE.name:
            raise RpcError(Code.NOT_FOUND, "unit other.service is not on this machine")
        process = pb.Process(pid=42, command="web", memory_bytes=9, cpu_seconds=0.5)
        return pb.UnitStatusResponse(
            state=STATE,
            processes=[process],
            ignored=["Service.Nice"],
            status_text="fine",
            resources=pb.UnitResources(memory_bytes=0, pressure={"io": 1.5}),
        ).SerializeToString()

    async def _reload(self, _request: bytes) -> bytes:
        raise RpcError(Code.FAILED_PRECONDITION, "it has no ExecReload=")

    async def _usage(self, stream: ServerStream) -> None:
        async for _ in stream:
            for number in range(2):
                stream.send(pb.Usage(at_us=number * 1_000_000, cpu_percent=50).SerializeToString())

    async def _read(self, stream: ServerStream) -> None:
        async for message in stream:
            self.journal = pb.ReadJournalRequest.FromString(message)
        for batch in self.batches:
            stream.send(batch.SerializeToString())
            await stream.drain()
        if self.journal and self.journal.follow:
            await asyncio.Event().wait()


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
async def connect(agent: Agent, tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[Channel]]]:
    path = tmp_path / "agent-admin.sock"
    server = agent.server()
    listener = await server.serve_unix(path)
    channels: list[Channel] = []

    async def make() -> Channel:
        channels.append(Channel(UnixDialer(path)))
        return channels[-1]

    yield make
    for channel in channels:
        await channel.close()
    listener.close()
    await server.close(0)


@pytest.fixture
async def client(connect: Callable[[], Awaitable[Channel]]) -> AgentClient:
    return AgentClient(await connect())


async def test_facts_have_their_times_in_seconds(client: AgentClient) -> None:
    facts = await client.facts()
    assert (facts.machine_id, facts.booted_at, facts.metadata) == ("m-1", 2.0, {"disk": "ssd"})


async def test_units_say_whose_they_are_and_the_id_is_asked_for_once(
    client: AgentClient, agent: Agent
) -> None:
    (unit,) = await client.units()
    await client.units()
    assert (unit.unit, unit.machine_id, unit.since, unit.main_pid) == (
        "web.service",
        "m-1",
        1.5,
        42,
    )
    assert agent.asked == ["facts"]


async def test_a_status_has_processes_and_what_is_not_honoured(client: AgentClient) -> None:
    status = await client.status("web.service")
    assert status.description == "The web"
    assert [process.command for process in status.processes] == ["web"]
    assert status.ignored == ("Service.Nice",)
    # Nothing used is something else than nothing known.
    assert status.resources == UnitResources(memory_bytes=0, pressure={"io": 1.5})


async def test_a_unit_that_is_not_there_is_not_found(client: AgentClient) -> None:
    with pytest.raises(NotFoundError, match="not on this machine"):
        await client.status("other.service")


async def test_another_refusal_keeps_its_code(client: AgentClient) -> None:
    with pytest.raises(RpcError) as caught:
        await client.reload("web.service")
    assert caught.value.status is Code.FAILED_PRECONDITION


async def test_usage_comes_as_a_stream(client: AgentClient) -> None:
    async with client.usage(period_seconds=0.5) as samples:
        assert [sample.at async for sample in samples] == [0.0, 1.0]


async def test_the_journal_comes_in_batches_byte_for_byte(
    client: AgentClient, agent: Agent
) -> None:
    match = JournalMatch(
        units=("web.service",),
        priority_max=0,
        identifier="web",
        grep="a+",
        boot="-1",
        all_fields=True,
    )
    async with client.journal(match, lines=5) as batches:
        got = [batch async for batch in batches]
    assert [batch.entries[0].message for batch in got] == [b"\xff0", b"\xff1", b"\xff2"]
    assert [(batch.gap, batch.caught_up) for batch in got] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    assert got[0].entries[0].machine_id == "m-1"
    assert agent.journal is not None
    assert agent.journal.HasField("priority")
    asked = agent.journal
    assert (asked.lines, list(asked.units)) == (5, ["web.service"])
    assert (asked.identifier, asked.grep, asked.boot) == ("web", "a+", "-1")
    assert asked.all_fields


async def test_without_a_priority_none_is_asked_for(client: AgentClient, agent: Agent) -> None:
    async with client.journal() as batches:
        async for batch in batches:
            if batch.caught_up:
                break
    assert agent.journal is not None
    assert not agent.journal.HasField("priority")


async def test_leaving_a_journal_that_is_followed_ends_it(
    client: AgentClient, agent: Agent
) -> None:
    async with client.journal(follow=True) as batches:
        assert (await anext(batches)).gap
    await client.ping(b"still here")


async def test_an_agent_that_is_gone_is_a_link_error(tmp_path: Path) -> None:
    channel = Channel(UnixDialer(tmp_path / "nobody.sock"))
    try:
        with pytest.raises(LinkError):
            await AgentClient(channel).facts()
    finally:
        await channel.close()
