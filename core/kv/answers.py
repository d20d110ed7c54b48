"""Who waits for a commit: a call, a task of our own, or a refusal that must not come before it."""

import asyncio
from typing import Protocol

from c101.core.rpc.status import Code, RpcError


class Answer(Protocol):
    """Who waits for a commit."""

    def reply(self, message: bytes, /) -> None:
        """What was asked for is durable."""
        ...

    def fail(self, status: Code, message: str, /) -> None:
        """It was not done, or nobody can tell whether it was."""
        ...


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
    """A refusal: *answer* hears *error* once what that was decided by is durable."""

    def __init__(self, answer: Answer, error: RpcError) -> None:
        self._answer = answer
        self._error = error
        self.fail = answer.fail

    def reply(self, _message: bytes, /) -> None:
        """Refuse."""
        self._answer.fail(self._error.status, self._error.message)
