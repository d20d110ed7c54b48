"""Random requests, as hypothesis draws them: the same for ours and for a real etcd.

Keys, revisions and leases are drawn relative to a sequence (few keys, so that they meet) and made
absolute by ``bind``.
"""

from dataclasses import dataclass

from google.protobuf.message import Message
from hypothesis import strategies as st

from c101.core.proto import rpc_pb2

KEYS = (b"", b"a", b"a\0", b"ab", b"b", b"c", b"c\xff", b"d")
LEASES = (1, 2)


@dataclass(frozen=True)
class Operation:
    """A method, its request with relative parts, and its response type."""

    path: str
    request: Message
    response: type[Message]


_rarely = st.integers(0, 24).map(lambda number: number == 11)
_key = st.one_of(*[st.sampled_from(KEYS[1:5])] * 9, st.sampled_from(KEYS))
_value = st.sampled_from((b"", b"1", b"2", b"x" * 40))
_revision = st.sampled_from((0, 0, 0, 0, 0, 0, 2, 3, 4, 5, 6, 7, 8, 1, -1, 100))
_lease = st.sampled_from((0, 0, 0, 0, 0, 0, *LEASES, *LEASES, 1, 9))
_small = st.integers(0, 8)
_flag = st.sampled_from((False, False, True))
#: "" single key, "*" the whole prefix of the sequence, another key
_end = st.sampled_from((None, b"*", None, b"*", b"*", *KEYS[2:]))


def _ranged(request: Message, end: bytes | None) -> None:
    if end is not None:
        request.range_end = end  # type: ignore[attr-defined]


@st.composite
def ranges(draw: st.DrawFn) -> rpc_pb2.RangeRequest:
    request = rpc_pb2.RangeRequest(
        key=draw(_key),
        limit=draw(st.sampled_from((0, 0, 1, 2, -1))),
        revision=draw(_revision),
        sort_order=draw(st.integers(0, 2)),  # type: ignore[arg-type]
        sort_target=draw(st.integers(0, 4)),  # type: ignore[arg-type]
        serializable=draw(_flag),
        keys_only=draw(_flag),
        count_only=draw(st.sampled_from((False, False, False, True))),
    )
    _ranged(request, draw(_end))
    for name in ("min_mod", "max_mod", "min_create", "max_create"):
        if draw(_rarely) or draw(_rarely):
            setattr(request, name + "_revision", draw(_small))
    return request


@st.composite
def puts(draw: st.DrawFn) -> rpc_pb2.PutRequest:
    request = rpc_pb2.PutRequest(
        key=draw(_key), value=draw(_value), lease=draw(_lease), prev_kv=draw(_flag)
    )
    request.ignore_value, request.ignore_lease = draw(_rarely), draw(_rarely)
    if request.ignore_value and not draw(_rarely):
        request.value = b""
    if request.ignore_lease and not draw(_rarely):
        request.lease = 0
    return request


@st.composite
def deletes(draw: st.DrawFn) -> rpc_pb2.DeleteRangeRequest:
    request = rpc_pb2.DeleteRangeRequest(key=draw(_key), prev_kv=draw(_flag))
    _ranged(request, draw(_end))
    return request


@st.composite
def compares(draw: st.DrawFn) -> rpc_pb2.Compare:
    compare = rpc_pb2.Compare(
        result=draw(st.integers(0, 3)),  # type: ignore[arg-type]
        target=draw(st.integers(0, 4)),  # type: ignore[arg-type]
        key=draw(_key),
    )
    _ranged(compare, draw(_end))
    match draw(st.integers(0, 4)) if draw(_flag) else compare.target:
        case 0:
            compare.version = draw(_small)
        case 1:
            compare.create_revision = draw(_small)
        case 2:
            compare.mod_revision = draw(_small)
        case 3:
            compare.value = draw(_value)
        case _:
            compare.lease = draw(_lease)
    return compare


@st.composite
def request_ops(draw: st.DrawFn, depth: int) -> rpc_pb2.RequestOp:
    op = rpc_pb2.RequestOp()
    kind = draw(st.sampled_from("rppdt" if depth else "rppd"))
    if kind == "r":
        op.request_range.CopyFrom(draw(ranges()))
    elif kind == "p":
        op.request_put.CopyFrom(draw(puts()))
    elif kind == "d":
        op.request_delete_range.CopyFrom(draw(deletes()))
    else:
        op.request_txn.CopyFrom(draw(txns(depth - 1)))
    return op


@st.composite
def txns(draw: st.DrawFn, depth: int = 2) -> rpc_pb2.TxnRequest:
    branch = st.lists(request_ops(depth), max_size=3)
    return rpc_pb2.TxnRequest(
        compare=draw(st.lists(compares(), max_size=2)),
        success=draw(branch),
        failure=draw(branch),
    )


def operations() -> st.SearchStrategy[Operation]:
    """Draw one operation, in about the mix of a busy application."""
    put = puts().map(lambda one: Operation("KV/Put", one, rpc_pb2.PutResponse))
    get = ranges().map(lambda one: Operation("KV/Range", one, rpc_pb2.RangeResponse))
    delete = deletes().map(
        lambda one: Operation("KV/DeleteRange", one, rpc_pb2.DeleteRangeResponse)
    )
    txn = txns().map(lambda one: Operation("KV/Txn", one, rpc_pb2.TxnResponse))
    compact = st.sampled_from((5, 4, 6, 3, 7, 1, -1)).map(
        lambda one: Operation(
            "KV/Compact",
            rpc_pb2.CompactionRequest(revision=one, physical=True),
            rpc_pb2.CompactionResponse,
        )
    )
    grant = st.sampled_from(LEASES).map(
        lambda one: Operation(
            "Lease/LeaseGrant",
            rpc_pb2.LeaseGrantRequest(ID=one, TTL=900),
            rpc_pb2.LeaseGrantResponse,
        )
    )
    revoke = st.sampled_from(LEASES).map(
        lambda one: Operation(
            "Lease/LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=one), rpc_pb2.LeaseRevokeResponse
        )
    )
    ttl = st.sampled_from(LEASES).map(
        lambda one: Operation(
            "Lease/LeaseTimeToLive",
            rpc_pb2.LeaseTimeToLiveRequest(ID=one, keys=True),
            rpc_pb2.LeaseTimeToLiveResponse,
        )
    )
    return st.one_of(*[put] * 6, *[get] * 6, *[delete] * 2, *[txn] * 8, grant, revoke, ttl, compact)


@dataclass(frozen=True)
class Binding:
    """Where a sequence lives: its prefix, its first revision, its first lease id."""

    prefix: bytes
    revision: int
    lease: int

    def bind(self, request: Message) -> Message:
        """Return *request* with keys, revisions and leases made absolute."""
        bound = type(request)()
        bound.CopyFrom(request)
        self._bind(bound)
        return bound

    def _bind(self, message: Message) -> None:
        for descriptor, value in message.ListFields():
            if descriptor.message_type is not None:
                for one in value if _repeated(descriptor) else (value,):
                    self._bind(one)
        names = {descriptor.name for descriptor in message.DESCRIPTOR.fields}
        if message.DESCRIPTOR.name.endswith("Response"):
            return
        self._bind_key(message, names)
        for name in names & {
            "revision", "min_mod_revision", "max_mod_revision", "min_create_revision",
            "max_create_revision", "mod_revision", "create_revision",
        }:  # fmt: skip
            if getattr(message, name) > 0:
                setattr(message, name, getattr(message, name) + self.revision)
        for name in names & {"lease", "ID"}:
            if getattr(message, name):
                setattr(message, name, getattr(message, name) + self.lease)

    def _bind_key(self, message: Message, names: set[str]) -> None:
        if "key" not in names:
            return
        # The empty key stays one: it is refused.
        if message.key:  # type: ignore[attr-defined]
            message.key = self.prefix + message.key  # type: ignore[attr-defined]
        if "range_end" in names and message.range_end:  # type: ignore[attr-defined]
            end = message.range_end  # type: ignore[attr-defined]
            after = self.prefix[:-1] + bytes((self.prefix[-1] + 1,))
            message.range_end = after if end == b"*" else self.prefix + end  # type: ignore[attr-defined]


def _repeated(descriptor: object) -> bool:
    return bool(descriptor.is_repeated)  # type: ignore[attr-defined]


def opening() -> list[Operation]:
    """Return what every sequence begins with: keys, a deletion, a lease, seven revisions."""
    lease = rpc_pb2.LeaseGrantRequest(ID=1, TTL=900)
    puts: list[Operation] = [Operation("Lease/LeaseGrant", lease, rpc_pb2.LeaseGrantResponse)]
    for key, value, lease_id in (
        (b"a", b"1", 0),
        (b"b", b"2", 1),
        (b"c", b"1", 0),
        (b"a", b"2", 1),
    ):
        put = rpc_pb2.PutRequest(key=key, value=value, lease=lease_id)
        puts.append(Operation("KV/Put", put, rpc_pb2.PutResponse))
    delete = rpc_pb2.DeleteRangeRequest(key=b"b")
    puts.append(Operation("KV/DeleteRange", delete, rpc_pb2.DeleteRangeResponse))
    for key in (b"b", b"ab"):
        put = rpc_pb2.PutRequest(key=key, value=b"3")
        puts.append(Operation("KV/Put", put, rpc_pb2.PutResponse))
    return puts
