"""What the verbs on keys answer: frozen values, and how each is read off the wire."""

from collections.abc import Iterable
from dataclasses import dataclass

from c101.core.model.key_value import KeyValue
from c101.core.proto import kv_pb2, rpc_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeResult:
    """Keys of a range at one moment.

    ``revision`` is the store's at the time of the answer, also for a read of the past. ``more``:
    the limit cut the answer short. ``count`` is of the whole range, whatever the limit.
    ``cluster_id`` is 0 inside a transaction.
    """

    revision: int
    cluster_id: int
    kvs: list[KeyValue]
    more: bool
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PutResult:
    """A put that is durable, at *revision*. ``prev`` only when it was asked for and existed."""

    revision: int
    prev: KeyValue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteResult:
    """How many keys were deleted. ``prev_kvs`` only when they were asked for."""

    revision: int
    deleted: int
    prev_kvs: tuple[KeyValue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TxnResult:
    """Which branch ran and what each of its operations answered, in order.

    ``revision`` is the store's after the transaction.
    """

    succeeded: bool
    revision: int
    responses: tuple["OpResult", ...]


OpResult = RangeResult | PutResult | DeleteResult | TxnResult


def key_value(message: kv_pb2.KeyValue) -> KeyValue:
    """Read one key."""
    return KeyValue(
        key=message.key,
        value=message.value,
        create_revision=message.create_revision,
        mod_revision=message.mod_revision,
        version=message.version,
        lease=message.lease,
    )


def range_result(message: rpc_pb2.RangeResponse) -> RangeResult:
    """Read the answer to a range."""
    return RangeResult(
        revision=message.header.revision,
        cluster_id=message.header.cluster_id,
        kvs=[key_value(kv) for kv in message.kvs],
        more=message.more,
        count=message.count,
    )


def put_result(message: rpc_pb2.PutResponse) -> PutResult:
    """Read the answer to a put."""
    prev = key_value(message.prev_kv) if message.HasField("prev_kv") else None
    return PutResult(revision=message.header.revision, prev=prev)


def delete_result(message: rpc_pb2.DeleteRangeResponse) -> DeleteResult:
    """Read the answer to a delete."""
    return DeleteResult(
        revision=message.header.revision,
        deleted=message.deleted,
        prev_kvs=tuple(key_value(kv) for kv in message.prev_kvs),
    )


def txn_result(message: rpc_pb2.TxnResponse) -> TxnResult:
    """Read the answer to a transaction, nested ones included."""
    return TxnResult(
        succeeded=message.succeeded,
        revision=message.header.revision,
        responses=tuple(_op_results(message.responses)),
    )


def _op_results(responses: Iterable[rpc_pb2.ResponseOp]) -> Iterable[OpResult]:
    for response in responses:
        match response.WhichOneof("response"):
            case "response_range":
                yield range_result(response.response_range)
            case "response_put":
                yield put_result(response.response_put)
            case "response_delete_range":
                yield delete_result(response.response_delete_range)
            case _:
                yield txn_result(response.response_txn)
