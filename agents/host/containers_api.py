"""``c101.agent.v1``'s Containers and Commands: what runs in containers here, and commands in them.

A command is root's on this machine: only admins run any, and each is logged with who did.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from c101.agents.host.messages import resources
from c101.agents.host.record import who
from c101.agents.runtime.commands.command import SHELL, Command, Launcher
from c101.agents.runtime.commands.running import Running, running
from c101.agents.runtime.containers.entering import entering
from c101.agents.runtime.containers.finder import ContainerFinder
from c101.agents.runtime.unit_manager import LoadedUnit, UnitManager
from c101.core.clock import Clock
from c101.core.errors import C101Error
from c101.core.model.host import Container
from c101.core.proto import agent_pb2 as pb
from c101.core.rpc.server import ServerStream
from c101.core.rpc.status import Code, RpcError

logger = logging.getLogger(__name__)

#: Commands that run at once; one more is refused.
COMMANDS_MAX = 64
#: How long an engine may take to answer.
ENGINE_SECONDS = 5.0
_ROWS, _COLUMNS = 24, 80


class ContainersApi:
    """The two services. *launcher* says how a command is run on this machine."""

    def __init__(
        self, units: UnitManager, launcher: Launcher, clock: Clock, machine_id: str
    ) -> None:
        self._launcher = launcher
        self._running = 0
        self._finder = ContainerFinder(
            lambda: units.units(processes=True), self._ask, clock, machine_id
        )

    async def list_containers(self, request: bytes) -> bytes:
        """Answer Containers/List."""
        pb.ListContainersRequest.FromString(request)
        found = await self._finder.find()
        return pb.ListContainersResponse(
            containers=map(_container, found.containers), problems=found.problems
        ).SerializeToString()

    async def of_unit(self, unit: LoadedUnit) -> list[pb.Container]:
        """Return the containers of *unit*."""
        return [_container(one) for one in await self._finder.of_unit(unit)]

    async def run_command(self, stream: ServerStream) -> None:
        """Answer Commands/Run."""
        async for message in stream:
            first = pb.CommandInput.FromString(message)
            break
        else:
            raise RpcError(Code.INVALID_ARGUMENT, "the request is missing")
        if not first.HasField("begin"):
            raise RpcError(Code.INVALID_ARGUMENT, "the first message says what is to be run")
        command = await self._command(first.begin)
        if self._running >= COMMANDS_MAX:
            raise RpcError(Code.RESOURCE_EXHAUSTED, f"{COMMANDS_MAX} commands run here")
        asked = {**who(stream.peer), "argv": list(command.argv)}
        logger.info("command begins", extra=asked)
        self._running += 1
        try:
            async with running(command, self._launcher) as one:
                status = await _converse(stream, one)
        except C101Error as error:
            raise RpcError(Code.FAILED_PRECONDITION, str(error)) from error
        finally:
            self._running -= 1
            logger.info("command ended", extra=asked)
        stream.send(pb.CommandOutput(status=status).SerializeToString())

    async def _command(self, begin: pb.Command) -> Command:
        terminal = begin.HasField("terminal")
        argv = tuple(begin.argv) or SHELL
        if begin.container:
            argv = await self._inside(begin.container, argv, terminal=terminal)
        return Command(
            argv=argv,
            terminal=terminal,
            rows=begin.terminal.rows or _ROWS,
            columns=begin.terminal.columns or _COLUMNS,
            term=begin.term or "dumb",
        )

    async def _inside(
        self, container_id: str, argv: Sequence[str], *, terminal: bool
    ) -> tuple[str, ...]:
        found = await self._finder.find()
        for one in found.containers:
            if one.id == container_id:
                try:
                    return entering(one, argv, terminal=terminal)
                except C101Error as error:
                    raise RpcError(Code.FAILED_PRECONDITION, str(error)) from error
        raise RpcError(Code.NOT_FOUND, f"no container {container_id} is on this machine")

    async def _ask(self, argv: Sequence[str]) -> tuple[int, bytes, bytes]:
        written: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
        try:
            async with (
                asyncio.timeout(ENGINE_SECONDS),
                running(Command(argv=tuple(argv)), self._launcher) as one,
            ):
                one.end_input()
                async for number, chunk in one.output():
                    written[number] += chunk
                status = await one.status()
        except TimeoutError as error:
            raise C101Error(f"no answer within {ENGINE_SECONDS:g} s") from error
        return status, bytes(written[1]), bytes(written[2])


async def _converse(stream: ServerStream, one: Running) -> int:
    """Carry input and output until the command ends; return its status."""
    feeding = asyncio.create_task(_feed(stream, one), name="command's input")
    try:
        async for number, chunk in one.output():
            output = pb.CommandOutput(data=chunk) if number == 1 else pb.CommandOutput(error=chunk)
            stream.send(output.SerializeToString())
            # Who does not read holds the command, by its pipe.
            await stream.drain()
        return await one.status()
    finally:
        feeding.cancel()
        with suppress(asyncio.CancelledError):
            await feeding


async def _feed(stream: ServerStream, one: Running) -> None:
    async for message in stream:
        given = pb.CommandInput.FromString(message)
        match given.WhichOneof("input"):
            case "data":
                await one.write(given.data)
            case "resize":
                one.resize(given.resize.rows, given.resize.columns)
            case "end":
                one.end_input()
            case _:
                raise RpcError(Code.INVALID_ARGUMENT, "input is data, a size or the end")
    one.end_input()


def _container(container: Container) -> pb.Container:
    return pb.Container(
        engine=container.engine,
        id=container.id,
        name=container.name,
        image=container.image,
        state=container.state,
        health=container.health,
        ports=container.ports,
        unit=container.unit,
        pid=container.pid or 0,
        resources=resources(container.resources),
    )
