"""etcdserverpb.KV: Range, Put, DeleteRange, Txn, Compact."""

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import TypeVar

from google.protobuf.message import DecodeError

from c101.core.kv import refusal, txn, write
from c101.core.kv.refusal import refuse
from c101.core.kv.revision import bound
from c101.core.kv.stepper import Steps
from c101.core.kv.tree import interval
from c101.core.kv.txn import Outcome
from c101.core.kv.txn_check import check_txn
from c101.core.kvserver.context import REQUEST_BYTES_MAX, Context, parse
from c101.core.proto import rpc_pb2
from c101.core.rpc.server import UnaryCall, UnaryHandler, unary
from c101.core.rpc.status import Code, RpcError

_COUNT_ONE = b"\x20\x01"  # field 4 of RangeResponse
#: A Range with nothing but a key shorter than this is answered without decoding the request.
_SHORT_KEY = 128

_M = TypeVar("_M")

_read_put = rpc_pb2.PutRequest.FromString


class KvService:
    """The KV service on a store."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._header = context.header
        self._index = context.store.index
        self._gate = context.store.gate

    def handlers(self) -> Mapping[str, UnaryHandler]:
        """Return the handlers by path."""
        return {
            "/etcdserverpb.KV/Range": self.range,
            "/etcdserverpb.KV/Put": self.put,
            "/etcdserverpb.KV/DeleteRange": self.delete_range,
            "/etcdserverpb.KV/Txn": self.txn,
            "/etcdserverpb.KV/Compact": unary(self.compact),
        }

    def range(self, call: UnaryCall, message: bytes) -> None:
        """Answer a Range from what is committed."""
        # The plain get, by far the most frequent: field 1, its length, the key, nothing else.
        if 2 < len(message) < _SHORT_KEY and message[0] == 10 and message[1] == len(message) - 2:
            index = self._index
            header = self._header(index.revision)
            if index.merging:
                state = index.state_before(message[2:], bound(index.revision))
            else:
                state = index.states.get(message[2:])
            call.reply(header if state is None else header + state[0] + _COUNT_ONE)
            return
        request = parse(rpc_pb2.RangeRequest, message)
        header = self._header(self._store.revision)
        answer = _Answer(call, header)
        self._context.reads.range(request, answer.finished, answer.cancelled)

    def put(self, call: UnaryCall, message: bytes) -> None:
        """Stage a Put; it is answered when it is durable."""
        if self._gate.closed:
            self._gate.wait(partial(answer_errors, self._put, call, message))
        else:
            self._put(call, message)

    def _put(self, call: UnaryCall, message: bytes) -> None:
        try:
            request = _read_put(message)
        except DecodeError as exc:
            raise RpcError(Code.INTERNAL, f"grpc: error unmarshalling request: {exc}") from exc
        if len(message) > REQUEST_BYTES_MAX:
            raise refuse(refusal.REQUEST_TOO_LARGE)
        store = self._store
        store.admit()
        try:
            body = write.put(store, request)
        except RpcError as exc:
            store.refuse(call, exc)
        else:
            store.answer(call, self._header(store.staged_revision) + body)

    def delete_range(self, call: UnaryCall, message: bytes) -> None:
        """Stage a DeleteRange; it is answered when it is durable."""
        request = parse(rpc_pb2.DeleteRangeRequest, message)
        store = self._store
        interval(request.key, request.range_end)

        def steps() -> Steps:
            store.admit()
            return (yield from write.delete_range(store, request))

        def finished(body: list[bytes] | RpcError) -> None:
            if isinstance(body, RpcError):
                store.refuse(call, body)
            else:
                self._when_durable(call, [self._header(store.staged_revision), *body])

        self._gate.perform(steps(), finished)

    def txn(self, call: UnaryCall, message: bytes) -> None:
        """Run a Txn; it is answered when what it did, or saw, is durable."""
        request = parse(rpc_pb2.TxnRequest, message)
        check_txn(request)
        if not txn.is_read_only(request):
            self._gate.perform(self._write_steps(request), partial(self._written, call))
        elif self._store.merging:
            # Its compares look at what is current.
            self._store.after_merge(partial(answer_errors, self._read_txn, call, request))
        else:
            self._read_txn(call, request)

    def _read_txn(self, call: UnaryCall, request: rpc_pb2.TxnRequest) -> None:
        store, reads = self._store, self._context.reads
        view = txn.CommittedView(store)
        branch = txn.decide(view, request)
        txn.check_branch(store, view, branch, store.revision, store.compact_revision)
        execution = txn.Execution(store, view, store.revision)

        def steps() -> Steps:
            # Without deletions this is one step.
            outcome = yield from execution.run(branch)
            found = txn.assemble(reads, outcome)
            oldest = outcome.oldest_snapshot()
            return (yield from (found if oldest is None else reads.keeping(found, oldest)))

        answer = _Answer(call, self._header(store.revision))
        reads.run(steps(), answer.finished, answer.cancelled)

    def _write_steps(
        self, request: rpc_pb2.TxnRequest
    ) -> Generator[None, None, tuple[int, Outcome]]:
        """Stage a transaction that writes; return its revision, and what it did."""
        store = self._store
        store.admit()
        branch = txn.decide(store, request)
        txn.check_branch(store, store, branch, store.staged_revision, store.staged_compaction)
        execution = txn.Execution(store, store, store.staged_revision)
        outcome = yield from execution.run(branch)
        store.staged_revision = execution.revision
        return execution.revision, outcome

    def _written(self, call: UnaryCall, result: tuple[int, Outcome] | RpcError) -> None:
        if isinstance(result, RpcError):
            self._store.refuse(call, result)
            return
        revision, outcome = result
        header = self._header(revision)
        oldest = outcome.oldest_snapshot()
        steps = txn.assemble(self._context.reads, outcome)
        if oldest is None:
            # Nothing is left to be read: this is one step.
            self._context.reads.run(
                steps, lambda body: self._when_durable(call, [header, *_body(body)]), _never
            )
        else:
            later = _ReadLater(self._context, _Answer(call, header), steps, oldest)
            self._store.answer(later, b"")

    def _when_durable(self, call: UnaryCall, parts: list[bytes]) -> None:
        """Answer once what was staged, or was seen of others' staged writes, is durable."""
        if self._store.settled:
            call.reply_parts(parts)
        else:
            self._store.answer(_InParts(call, parts), b"")

    async def compact(self, message: bytes) -> bytes:
        """Compact; with ``physical`` the answer waits until the old revisions are gone."""
        request = parse(rpc_pb2.CompactionRequest, message)
        store, compactor = self._store, self._context.compactor
        store.admit()
        try:
            compactor.schedule(request.revision)
        finally:
            # A refusal, too: it may tell of a compaction that is only staged.
            await store.durable()
        compactor.begin()
        if request.physical:
            await compactor.finished(request.revision)
        return self._context.current_header()


def answer_errors(handler: Callable[[UnaryCall, _M], None], call: UnaryCall, message: _M) -> None:
    """Call *handler* later than from its call: an error it raises is the answer."""
    try:
        handler(call, message)
    except RpcError as exc:
        call.fail(exc.status, exc.message)


def _body(result: list[bytes] | RpcError) -> list[bytes]:
    if isinstance(result, RpcError):
        raise result
    return result


def _never() -> bool:
    return False


class _Answer:
    """Puts the header before the body of a read, and answers with it."""

    __slots__ = ("_call", "_header")

    def __init__(self, call: UnaryCall, header: bytes) -> None:
        self._call = call
        self._header = header

    def cancelled(self) -> bool:
        return self._call.cancelled

    def finished(self, result: list[bytes] | RpcError) -> None:
        if isinstance(result, RpcError):
            self._call.fail(result.status, result.message)
        else:
            self._call.reply_parts([self._header, *result])

    def fail(self, status: Code, message: str) -> None:
        self._call.fail(status, message)


class _InParts:
    """Answers with what may be too long to be joined."""

    __slots__ = ("_call", "_parts", "fail")

    def __init__(self, call: UnaryCall, parts: list[bytes]) -> None:
        self._call = call
        self._parts = parts
        self.fail = call.fail

    def reply(self, _message: bytes) -> None:
        self._call.reply_parts(self._parts)


class _ReadLater:
    """The ranges of a transaction that writes: read when it is committed, kept until then."""

    __slots__ = ("_answer", "_context", "_oldest", "_steps")

    def __init__(
        self, context: Context, answer: _Answer, steps: Steps, oldest_revision: int
    ) -> None:
        self._context = context
        self._answer = answer
        self._steps = steps
        self._oldest = oldest_revision
        context.store.pin(oldest_revision)

    def reply(self, _message: bytes) -> None:
        def finished(result: list[bytes] | RpcError) -> None:
            self._release()
            self._answer.finished(result)

        try:
            self._context.reads.run(self._steps, finished, _never)
        except RpcError as exc:
            self._release()
            self._answer.fail(exc.status, exc.message)

    def fail(self, status: Code, message: str) -> None:
        self._release()
        self._answer.fail(status, message)

    def _release(self) -> None:
        self._context.store.unpin(self._oldest)
