"""Transactions: what is compared, and what is then done.

::

    await client.transaction(
        compare=[mod_revision("/job").equals(7), value("/leader") == "a"],
        success=[Put("/job", "done"), Delete("/queue/1")],
        failure=[Get("/job")],
    )

A side of a comparison has ``equals``, ``differs``, ``greater`` and ``less``, and python-etcd3's
``==``, ``!=``, ``>`` and ``<`` for the same.

All comparisons are made before any operation, on the state before the transaction; a key may be
put once in it (etcd: api_guarantees.md). A key that does not exist has version, revisions and
lease 0. With a ``range_end`` every key of the range must satisfy the comparison, and a range
without a key is treated as one key that does not exist.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from c101.core.etcd.keys import Bytes, as_bytes
from c101.core.etcd.ranges import RangeOptions, range_request
from c101.core.proto import rpc_pb2

Wire = rpc_pb2.Compare


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison, as built by ``value``, ``version`` and their kin."""

    message: Wire


@dataclass(frozen=True, slots=True, eq=False)
class ValueSide:
    """The left side of a comparison of values, waiting for the right one."""

    key: bytes
    range_end: bytes

    def equals(self, other: Bytes) -> Compare:
        """Hold when the value is *other*."""
        return self._compare(Wire.EQUAL, other)

    def differs(self, other: Bytes) -> Compare:
        """Hold when the value is not *other*."""
        return self._compare(Wire.NOT_EQUAL, other)

    def greater(self, other: Bytes) -> Compare:
        """Hold when the value sorts behind *other*, byte by byte."""
        return self._compare(Wire.GREATER, other)

    def less(self, other: Bytes) -> Compare:
        """Hold when the value sorts before *other*, byte by byte."""
        return self._compare(Wire.LESS, other)

    def __eq__(self, other: Bytes) -> Compare:  # type: ignore[override]
        return self.equals(other)

    def __ne__(self, other: Bytes) -> Compare:  # type: ignore[override]
        return self.differs(other)

    def __gt__(self, other: Bytes) -> Compare:
        return self.greater(other)

    def __lt__(self, other: Bytes) -> Compare:
        return self.less(other)

    # It is no value to be looked up by: what ``==`` gives is a comparison, and always true.
    __hash__ = None  # type: ignore[assignment]

    def _compare(self, result: Wire.CompareResult, other: Bytes) -> Compare:
        message = Wire(result=result, target=Wire.VALUE, key=self.key, range_end=self.range_end)
        message.value = as_bytes(other)
        return Compare(message)


@dataclass(frozen=True, slots=True, eq=False)
class NumberSide:
    """The left side of a comparison of numbers, waiting for the right one."""

    key: bytes
    range_end: bytes
    target: Wire.CompareTarget
    field: str

    def equals(self, other: int) -> Compare:
        """Hold when the number is *other*."""
        return self._compare(Wire.EQUAL, other)

    def differs(self, other: int) -> Compare:
        """Hold when the number is not *other*."""
        return self._compare(Wire.NOT_EQUAL, other)

    def greater(self, other: int) -> Compare:
        """Hold when the number is greater than *other*."""
        return self._compare(Wire.GREATER, other)

    def less(self, other: int) -> Compare:
        """Hold when the number is less than *other*."""
        return self._compare(Wire.LESS, other)

    def __eq__(self, other: int) -> Compare:  # type: ignore[override]
        return self.equals(other)

    def __ne__(self, other: int) -> Compare:  # type: ignore[override]
        return self.differs(other)

    def __gt__(self, other: int) -> Compare:
        return self.greater(other)

    def __lt__(self, other: int) -> Compare:
        return self.less(other)

    # It is no value to be looked up by: what ``==`` gives is a comparison, and always true.
    __hash__ = None  # type: ignore[assignment]

    def _compare(self, result: Wire.CompareResult, other: int) -> Compare:
        message = Wire(result=result, target=self.target, key=self.key, range_end=self.range_end)
        setattr(message, self.field, other)
        return Compare(message)


def value(key: Bytes, range_end: Bytes = b"") -> ValueSide:
    """Compare the value of *key*; one that does not exist satisfies nothing."""
    return ValueSide(as_bytes(key), as_bytes(range_end))


def version(key: Bytes, range_end: Bytes = b"") -> NumberSide:
    """Compare how often *key* was put since it was created."""
    return NumberSide(as_bytes(key), as_bytes(range_end), Wire.VERSION, "version")


def create_revision(key: Bytes, range_end: Bytes = b"") -> NumberSide:
    """Compare the revision that created *key*."""
    return NumberSide(as_bytes(key), as_bytes(range_end), Wire.CREATE, "create_revision")


def mod_revision(key: Bytes, range_end: Bytes = b"") -> NumberSide:
    """Compare the revision of the last put of *key*."""
    return NumberSide(as_bytes(key), as_bytes(range_end), Wire.MOD, "mod_revision")


def lease(key: Bytes, range_end: Bytes = b"") -> NumberSide:
    """Compare the lease that *key* is under."""
    return NumberSide(as_bytes(key), as_bytes(range_end), Wire.LEASE, "lease")


@dataclass(frozen=True, slots=True)
class Put:
    """Write a key. Without a lease, one that it had is detached."""

    key: Bytes
    value: Bytes
    lease: int = 0
    prev_kv: bool = False


@dataclass(frozen=True, slots=True)
class Get:
    """Read a key or a range; sees what the operations before it in the transaction did."""

    key: Bytes
    range_end: Bytes = b""
    options: RangeOptions = field(default_factory=RangeOptions)


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a key or a range."""

    key: Bytes
    range_end: Bytes = b""
    prev_kv: bool = False


@dataclass(frozen=True, slots=True)
class Txn:
    """A transaction inside another; all compares are made before the outermost begins."""

    compare: Sequence[Compare]
    success: Sequence["Op"]
    failure: Sequence["Op"] = ()


Op = Put | Get | Delete | Txn


def txn_request(txn: Txn) -> rpc_pb2.TxnRequest:
    """Build the request for *txn*."""
    return rpc_pb2.TxnRequest(
        compare=[compare.message for compare in txn.compare],
        success=[_request_op(op) for op in txn.success],
        failure=[_request_op(op) for op in txn.failure],
    )


def put_request(op: Put) -> rpc_pb2.PutRequest:
    """Build the request for *op*."""
    return rpc_pb2.PutRequest(
        key=as_bytes(op.key), value=as_bytes(op.value), lease=op.lease, prev_kv=op.prev_kv
    )


def delete_request(op: Delete) -> rpc_pb2.DeleteRangeRequest:
    """Build the request for *op*."""
    return rpc_pb2.DeleteRangeRequest(
        key=as_bytes(op.key), range_end=as_bytes(op.range_end), prev_kv=op.prev_kv
    )


def _request_op(op: Op) -> rpc_pb2.RequestOp:
    match op:
        case Put():
            return rpc_pb2.RequestOp(request_put=put_request(op))
        case Get():
            request = range_request(as_bytes(op.key), as_bytes(op.range_end), op.options)
            return rpc_pb2.RequestOp(request_range=request)
        case Delete():
            return rpc_pb2.RequestOp(request_delete_range=delete_request(op))
        case Txn():
            return rpc_pb2.RequestOp(request_txn=txn_request(op))
