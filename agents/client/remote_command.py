"""A command that an agent runs for us: its input and output over one call."""

from collections.abc import AsyncIterator

from c101.core.errors import LinkLostError
from c101.core.proto import agent_pb2 as pb
from c101.core.rpc.channel import ClientStream


class RemoteCommand:
    """``status`` is its exit status once ``output`` has ended, ``None`` before."""

    def __init__(self, stream: ClientStream) -> None:
        self._stream = stream
        self.status: int | None = None

    async def write(self, data: bytes) -> None:
        """Give it *data*, no faster than it reads."""
        self._stream.send(pb.CommandInput(data=data).SerializeToString())
        await self._stream.drain()

    def end_input(self) -> None:
        """Let it read the end of its input."""
        self._stream.send(pb.CommandInput(end=True).SerializeToString())

    def resize(self, rows: int, columns: int) -> None:
        """Tell its terminal how large ours is."""
        window = pb.Window(rows=rows, columns=columns)
        self._stream.send(pb.CommandInput(resize=window).SerializeToString())

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield what it writes, standard output as 1 and error as 2.

        Raises LinkError, RpcError: it could not be run, or nobody knows how it ended.
        """
        async for message in self._stream:
            told = pb.CommandOutput.FromString(message)
            match told.WhichOneof("output"):
                case "data":
                    yield 1, told.data
                case "error":
                    yield 2, told.error
                case "status":
                    self.status = told.status
                case _:
                    continue  # a later agent's
        if self.status is None:
            raise LinkLostError("the agent ended before the command did")
