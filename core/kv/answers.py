"""Who waits for a commit, when it is not a call that simply gets its answer."""

import asyncio

from c101.core.kv.refusal import Refusal
from c101.core.kv.writer import Answer
from c101.core.rpc.status import Code, RpcError


class Durable:
    """An answer for our own tasks: ``future`` is done once the batch is, or has its error."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[None] = loop.create_future()

    def reply(self, _message: bytes, /) -> None:
        """Note that the batch is durable."""
        if not self.future.done():
            self.future.set_result(None)

    def fail(self, status: Code, message: str, /) -> None:
        """Note that the batch failed."""
        if not self.future.done():
            self.future.set_exception(RpcError(status, message))


class Refused:
    """Refuses *answer* once what was staged, the alarm that says why, is durable."""

    def __init__(self, answer: Answer, why: Refusal) -> None:
        self._answer = answer
        self._why = why

    def reply(self, _message: bytes, /) -> None:
        """Refuse."""
        self._answer.fail(*self._why)

    def fail(self, status: Code, message: str, /) -> None:
        """Pass on that the batch failed."""
        self._answer.fail(status, message)
