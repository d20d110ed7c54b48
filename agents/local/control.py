"""The supervisor's socket, both ends: one JSON object a line, one answer a question.

Questions: ``{"verb": "status" | "answering" | "joined" | "kill" | "start" | "down", …}``. Answers:
``{"document": …}``, or ``{"error": {"code", "message", "hint"}}``.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from c101.core.errors import C101Error, LinkError, LinkLostError, NotFoundError

LINE_BYTES_MAX = 1 << 20

Answerer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class RefusedError(C101Error):
    """The supervisor would not; the message and the hint are its own."""


Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def listen(path: Path, connected: Connected) -> asyncio.Server:
    """Listen on the unix socket *path* (0600), which a process before this one may have left."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - of a socket, which never blocks
    before = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(connected, path, limit=LINE_BYTES_MAX)
    finally:
        os.umask(before)


async def serve(path: Path, answer: Answerer) -> asyncio.Server:
    """Listen on *path* (0600); *answer* gets each question and may raise C101Error."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question = json.loads(await reader.readline())
            writer.write(json.dumps(await _answer(answer, question)).encode() + b"\n")
            await writer.drain()
        except (OSError, ValueError):
            return  # whoever asked went away, or does not speak this
        finally:
            writer.close()

    return await listen(path, connected)


async def _answer(answer: Answerer, question: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"document": await answer(question)}
    except C101Error as error:
        return {"error": {"code": error.code, "message": str(error), "hint": error.hint}}


async def ask(path: Path, verb: str, **question: Any) -> dict[str, Any]:
    """Ask the supervisor listening on *path*.

    Raises LinkError: nobody listens there; LinkLostError: it ended before it answered;
    NotFoundError and RefusedError: its own answer.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=LINE_BYTES_MAX)
    except OSError as error:
        raise LinkError(f"no cluster runs at {path.parent}") from error
    try:
        writer.write(json.dumps({"verb": verb, **question}).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    except OSError as error:
        raise LinkLostError("the cluster's supervisor went away") from error
    finally:
        writer.close()
    if not line:
        raise LinkLostError("the cluster's supervisor ended")
    answer: dict[str, Any] = json.loads(line)
    if (refusal := answer.get("error")) is not None:
        kind = NotFoundError if refusal["code"] == NotFoundError.code else RefusedError
        raise kind(refusal["message"], hint=refusal["hint"])
    document: dict[str, Any] = answer["document"]
    return document
