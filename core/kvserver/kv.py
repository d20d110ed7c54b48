"""etcdserverpb.KV: Range, Put, DeleteRange, Txn, Compact."""

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import TypeVar

from google.protobuf.message import DecodeError

from c101.core.kv import txn, write
from c101.core.kv.auth import checks
from c101.core.kv.auth.caller import NOBODY, Caller
from c101.core.kv.pace import Pace
from c101.core.kv.range_read import check_range
from c101.core.kv.revision import bound
from c101.core.kv.stepper import Steps
from c101.core.kv.tree import interval
from c101.core.kv.txn_check import Effect, check_put, check_txn
from c101.core.kv.txn_decide import SnapshotView, StagedView, decide
from c101.core.kvserver.context import Context, parse
from c101.core.kvserver.permission import admins
from c101.core.proto import rpc_pb2
from c101.core.rpc.server import UnaryCall, UnaryHandler, unary
from c101.core.rpc.status import Code, RpcError

_COUNT_ONE = b"\x20\x01"  # field 4 of RangeResponse
#: A Range with nothing but a key shorter than this is answered without decoding the request.
_SHORT_KEY = 128

_M = TypeVar("_M")

#: Its revision, and the body of its answer, or the steps that read it and what they need kept.
_Written = tuple[int, list[bytes] | tuple[Steps, int]]
_Writing = Generator[None, None, _Written]

_read_put = rpc_pb2.PutRequest.FromString


class KvService:
    """The KV service on a store."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._header = context.header
        self._index = context.store.index
        self._gate = context.store.gate
        self._admission = context.store.admission
        self._operations_max = context.options.max_txn_ops
        self._auth = context.auth
        self._staged = StagedView(context.store)

    def handlers(self) -> Mapping[str, UnaryHandler]:
        """Return the handlers by path."""
        return {
            "/etcdserverpb.KV/Range": self.range,
            "/etcdserverpb.KV/Put": self.put,
            "/etcdserverpb.KV/DeleteRange": self.delete_range,
            "/etcdserverpb.KV/Txn": self.txn,
            "/etcdserverpb.KV/Compact": admins(self._auth, unary(self.compact)),
        }

    def range(self, call: UnaryCall, message: bytes) -> None:
        """Answer a Range from what is committed."""
        # The plain get, by far the most frequent: field 1, its length, the key, nothing else.
        if (
            2 < len(message) < _SHORT_KEY
            and message[0] == 10
            and message[1] == len(message) - 2
            and not self._auth.enabled
        ):
            index = self._index
            header = self._header(index.revision)
            if index.merging:
                state = index.state_before(message[2:], bound(index.revision))
            else:
                state = index.states.get(message[2:])
            call.reply(header if state is None else header + state[0] + _COUNT_ONE)
            return
        request = parse(rpc_pb2.RangeRequest, message)
        unchanged = None
        if self._auth.enabled:
            check_range(request)
            caller = self._auth.caller_of(call)
            checks.check_read(self._auth, caller, request.key, request.range_end)
            unchanged = partial(self._auth.require_unchanged, caller)
        header = self._header(self._store.revision)
        answer = _Answer(call, header, unchanged)
        self._context.reads.range(request, answer.finished, answer.cancelled)

    def put(self, call: UnaryCall, message: bytes) -> None:
        """Stage a Put; it is answered when it is durable."""
        if self._gate.closed or self._auth.enabled:
            self._put_in_turn(call, message)
        else:
            self._put(call, message)

    def _put_in_turn(self, call: UnaryCall, message: bytes) -> None:
        request = parse(rpc_pb2.PutRequest, message)
        check_put(request)
        caller = self._auth.caller_of(call)
        store = self._store
        if len(message) > self._admission.put_bytes_max:
            self._refuse_put(call, message)
            return

        def steps() -> Steps:
            store.admit()
            if self._auth.enabled:
                yield from checks.check_put(self._auth, store.lessor, caller, request)
            return [write.put(store, request)]

        def finished(body: list[bytes] | RpcError) -> None:
            if isinstance(body, RpcError):
                call.fail(body.status, body.message)
            else:
                store.answer(call, self._header(store.staged_revision) + body[0])

        self._gate.perform(steps(), finished)

    def _put(self, call: UnaryCall, message: bytes) -> None:
        try:
            request = _read_put(message)
        except DecodeError as exc:
            raise RpcError(Code.INTERNAL, f"grpc: error unmarshalling request: {exc}") from exc
        store = self._store
        if len(message) > self._admission.put_bytes_max:
            check_put(request)
            self._refuse_put(call, message)
            return
        store.admit()
        try:
            body = write.put(store, request)
        except RpcError as exc:
            store.refuse(call, exc)
        else:
            store.answer(call, self._header(store.staged_revision) + body)

    def _refuse_put(self, call: UnaryCall, message: bytes) -> None:
        """Refuse a put, or a transaction that could put: it is too large, or there is no room."""
        self._context.check_size(message)
        self._store.refuse_growth(call)

    def delete_range(self, call: UnaryCall, message: bytes) -> None:
        """Stage a DeleteRange; it is answered when it is durable."""
        request = parse(rpc_pb2.DeleteRangeRequest, message)
        self._context.check_size(message)
        store = self._store
        interval(request.key, request.range_end)
        caller = self._writer(call)

        def steps() -> Steps:
            store.admit()
            if self._auth.enabled:
                checks.check_delete_range(self._auth, caller, request)
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
        pace = Pace(txn.WORK_PER_STEP)
        steps = check_txn(request, self._operations_max, pace)
        try:
            next(steps)
        except StopIteration as stop:
            # By far the most frequent: one that is checked in one step.
            self._run_txn(call, message, request, pace, stop.value)
        else:
            self._check_on(call, message, request, pace, steps)

    def _check_on(
        self,
        call: UnaryCall,
        message: bytes,
        request: rpc_pb2.TxnRequest,
        pace: Pace,
        steps: Generator[None, None, Effect],
    ) -> None:
        def run(call: UnaryCall, checked: Effect | RpcError) -> None:
            if isinstance(checked, RpcError):
                raise checked
            self._run_txn(call, message, request, pace, checked)

        finished = partial(answer_errors, run, call)
        self._context.reads.run(steps, finished, lambda: call.cancelled)

    def _run_txn(
        self,
        call: UnaryCall,
        message: bytes,
        request: rpc_pb2.TxnRequest,
        pace: Pace,
        effect: Effect,
    ) -> None:
        if effect is Effect.NONE:
            self._read_txn(call, request, pace)
        elif effect is Effect.PUTS and len(message) > self._admission.put_bytes_max:
            self._refuse_put(call, message)
        else:
            self._context.check_size(message)
            steps = self._write_steps(self._writer(call), request, pace)
            self._gate.perform(steps, partial(self._written, call))

    def _writer(self, call: UnaryCall) -> Caller:
        """Return who writes, as they are when the request comes; whoever, if nobody will ask."""
        if self._auth.enabled or self._gate.closed:
            return self._auth.caller_of(call)
        return NOBODY

    def _read_txn(self, call: UnaryCall, request: rpc_pb2.TxnRequest, pace: Pace) -> None:
        """Run a transaction that only reads: all of it at the revision at which it begins."""
        unchanged = None
        if self._auth.enabled:
            caller = self._auth.caller_of(call)
            checks.check_read_only_txn(self._auth, caller, request)
            unchanged = partial(self._auth.require_unchanged, caller)
        store, reads = self._store, self._context.reads
        readable = store.compact_revision, store.revision

        def steps() -> Steps:
            view = SnapshotView(store.index, reads.reader, readable[1])
            branch = yield from decide(view, request, pace)
            yield from txn.check(store, view, branch, readable, pace)
            execution = txn.Execution(store, view, readable[1], pace)
            outcome = yield from execution.run(branch)
            return (yield from txn.assemble(reads, outcome, pace))

        answer = _Answer(call, self._header(readable[1]), unchanged)
        # What a range asks for is known after some steps: everything that can be is kept.
        kept = reads.keeping(steps(), readable[0])
        reads.run(kept, answer.finished, answer.cancelled)

    def _write_steps(self, caller: Caller, request: rpc_pb2.TxnRequest, pace: Pace) -> _Writing:
        """Stage a transaction that writes; return its revision, and what is left to be done."""
        store = self._store
        store.admit()
        if self._auth.enabled:
            yield from checks.check_txn(self._auth, store.lessor, caller, request)
        view = self._staged
        readable = store.staged_compaction, store.staged_revision
        branch = yield from decide(view, request, pace)
        yield from txn.check(store, view, branch, readable, pace)
        execution = txn.Execution(store, view, readable[1], pace)
        outcome = yield from execution.run(branch)
        store.staged_revision = execution.revision
        assembly = txn.assemble(self._context.reads, outcome, pace)
        if execution.oldest_read is None:
            # Nothing is left to be read.
            return execution.revision, (yield from assembly)
        return execution.revision, (assembly, execution.oldest_read)

    def _written(self, call: UnaryCall, result: _Written | RpcError) -> None:
        if isinstance(result, RpcError):
            self._store.refuse(call, result)
            return
        revision, body = result
        header = self._header(revision)
        if isinstance(body, list):
            self._when_durable(call, [header, *body])
        else:
            steps, oldest_read = body
            later = _ReadLater(self._context, _Answer(call, header), steps, oldest_read)
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
        compactor = self._context.compactor
        await compactor.compact(request.revision)
        if request.physical:
            await compactor.finished(request.revision)
        return self._context.current_header()


def answer_errors(handler: Callable[[UnaryCall, _M], None], call: UnaryCall, message: _M) -> None:
    """Call *handler* later than from its call: an error it raises is the answer."""
    try:
        handler(call, message)
    except RpcError as exc:
        call.fail(exc.status, exc.message)


def _never() -> bool:
    return False


class _Answer:
    """Puts the header before the body of a read, and answers with it.

    *unchanged* raises RpcError if the read was permitted by what has been changed meanwhile.
    """

    __slots__ = ("_call", "_header", "_unchanged")

    def __init__(
        self, call: UnaryCall, header: bytes, unchanged: Callable[[], None] | None = None
    ) -> None:
        self._call = call
        self._header = header
        self._unchanged = unchanged

    def cancelled(self) -> bool:
        return self._call.cancelled

    def finished(self, result: list[bytes] | RpcError) -> None:
        if self._unchanged is not None:
            try:
                self._unchanged()
            except RpcError as exc:
                result = exc
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
