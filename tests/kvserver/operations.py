"""Random requests, the same for ours and for a real etcd.

An operation is read off a number, digit by digit (``read_operation``), so that a draw costs
little. Keys, revisions and leases are relative to a sequence (few keys, so that they meet);
``Binding`` makes them absolute.
As text an operation is one line, its method and its request: a sequence is a script.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import Message

from c101.core.proto import rpc_pb2

KEYS = (b"a", b"a\0", b"ab", b"b", b"c", b"c\xff", b"d")
#: Granted and revoked at random, and granted at the beginning for as long as the sequence lasts.
PASSING_LEASES = (1, 2)
LASTING_LEASES = (3, 4)
TTL_SECONDS = 900
#: What a number must have to say all that an operation may be; beyond it everything is 0.
NUMBER_BYTES = 64
#: How often each method is drawn.
WEIGHTS = {
    "KV/Put": 12,
    "KV/Range": 12,
    "KV/DeleteRange": 4,
    "KV/Txn": 16,
    "KV/Compact": 2,
    "Lease/LeaseGrant": 2,
    "Lease/LeaseRevoke": 2,
    "Lease/LeaseTimeToLive": 2,
    "Lease/LeaseKeepAlive": 2,
    "Lease/LeaseLeases": 1,
    "Watch/Watch": 2,
}
#: Stands for the end of the sequence's prefix where a range ends.
ALL = b"*"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What is sent to a path and what comes back."""

    request: type[Message]
    response: type[Message]


METHODS = {
    "KV/Put": Method(request=rpc_pb2.PutRequest, response=rpc_pb2.PutResponse),
    "KV/Range": Method(request=rpc_pb2.RangeRequest, response=rpc_pb2.RangeResponse),
    "KV/DeleteRange": Method(
        request=rpc_pb2.DeleteRangeRequest, response=rpc_pb2.DeleteRangeResponse
    ),
    "KV/Txn": Method(request=rpc_pb2.TxnRequest, response=rpc_pb2.TxnResponse),
    "KV/Compact": Method(request=rpc_pb2.CompactionRequest, response=rpc_pb2.CompactionResponse),
    "Lease/LeaseGrant": Method(
        request=rpc_pb2.LeaseGrantRequest, response=rpc_pb2.LeaseGrantResponse
    ),
    "Lease/LeaseRevoke": Method(
        request=rpc_pb2.LeaseRevokeRequest, response=rpc_pb2.LeaseRevokeResponse
    ),
    "Lease/LeaseTimeToLive": Method(
        request=rpc_pb2.LeaseTimeToLiveRequest, response=rpc_pb2.LeaseTimeToLiveResponse
    ),
    "Lease/LeaseKeepAlive": Method(
        request=rpc_pb2.LeaseKeepAliveRequest, response=rpc_pb2.LeaseKeepAliveResponse
    ),
    "Lease/LeaseLeases": Method(
        request=rpc_pb2.LeaseLeasesRequest, response=rpc_pb2.LeaseLeasesResponse
    ),
    "Watch/Watch": Method(request=rpc_pb2.WatchCreateRequest, response=rpc_pb2.WatchResponse),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """A method and its request with relative parts."""

    path: str
    request: Message

    def __str__(self) -> str:
        return f"{self.path} {text_format.MessageToString(self.request, as_one_line=True)}".strip()

    @classmethod
    def parse(cls, line: str) -> "Operation":
        """Return the operation that *line* is the text of."""
        path, _, text = line.partition(" ")
        return cls(path, text_format.Parse(text, METHODS[path].request()))


def script(sequence: Iterable[Operation]) -> str:
    """Return *sequence* as text, to be read by ``parse_script``."""
    return "".join(f"{operation}\n" for operation in sequence)


def parse_script(text: str) -> list[Operation]:
    """Return the operations of a script; lines that begin with # are left out."""
    lines = map(str.strip, text.splitlines())
    return [Operation.parse(line) for line in lines if line and not line.startswith("#")]


class Digits:
    """A number of many digits, each of a base of its own, the least first."""

    def __init__(self, number: int) -> None:
        self._number = number

    def below(self, base: int) -> int:
        """Return the next digit, which is less than *base*."""
        self._number, digit = divmod(self._number, base)
        return digit

    def one_of(self, choices: Sequence[_T]) -> _T:
        """Return one of *choices*, for 0 the first."""
        return choices[self.below(len(choices))]

    def rarely(self, once_in: int = 25) -> bool:
        """Say yes once in so many times, never for 0."""
        return self.below(once_in) == once_in - 1


_TABLE = [path for path, weight in WEIGHTS.items() for _ in range(weight)]
_SOME_KEYS = KEYS[:4]
_VALUES = (b"", b"1", b"2", b"x" * 40)
_REVISIONS = (0, 0, 0, 0, 0, 0, 2, 3, 4, 5, 6, 7, 8, 9, 1, -1, 100)
_LEASES = (0, 0, 0, 0, 0, 0, 0, *LASTING_LEASES, *PASSING_LEASES, 1, 9)
_ENDS = (b"", ALL, b"", ALL, ALL, *KEYS[1:])
_COMPACTIONS = (5, 4, 6, 3, 7, 8, 9, 1, -1)


def read_operation(number: int) -> Operation:
    """Return the operation that *number* stands for."""
    digits = Digits(number)
    path = digits.one_of(_TABLE)
    return Operation(path, _READERS[path](digits))


def _key(digits: Digits) -> bytes:
    if digits.below(10) < 9:
        return digits.one_of(_SOME_KEYS)
    return digits.one_of((*KEYS, b""))


def _range(digits: Digits) -> rpc_pb2.RangeRequest:
    request = rpc_pb2.RangeRequest(
        key=_key(digits),
        range_end=digits.one_of(_ENDS),
        limit=digits.one_of((0, 0, 1, 2, -1)),
        revision=digits.one_of(_REVISIONS),
        sort_order=digits.below(3),  # type: ignore[arg-type]
        sort_target=digits.below(5),  # type: ignore[arg-type]
        serializable=digits.rarely(3),
        keys_only=digits.rarely(3),
        count_only=digits.rarely(4),
    )
    for name in ("min_mod", "max_mod", "min_create", "max_create"):
        if digits.rarely(12):
            setattr(request, name + "_revision", digits.below(9))
    return request


def _put(digits: Digits) -> rpc_pb2.PutRequest:
    request = rpc_pb2.PutRequest(
        key=_key(digits),
        value=digits.one_of(_VALUES),
        lease=digits.one_of(_LEASES),
        prev_kv=digits.rarely(3),
        ignore_value=digits.rarely(),
        ignore_lease=digits.rarely(),
    )
    if request.ignore_value and not digits.rarely(5):
        request.value = b""
    if request.ignore_lease and not digits.rarely(5):
        request.lease = 0
    return request


def _delete_range(digits: Digits) -> rpc_pb2.DeleteRangeRequest:
    return rpc_pb2.DeleteRangeRequest(
        key=_key(digits), range_end=digits.one_of(_ENDS), prev_kv=digits.rarely(3)
    )


def _compare(digits: Digits) -> rpc_pb2.Compare:
    compare = rpc_pb2.Compare(
        result=digits.below(4),  # type: ignore[arg-type]
        target=digits.below(5),  # type: ignore[arg-type]
        key=_key(digits),
        range_end=digits.one_of(_ENDS),
    )
    # Mostly what the target is compared with; sometimes another, as no client would.
    match digits.below(5) if digits.rarely(3) else compare.target:
        case 0:
            compare.version = digits.below(9)
        case 1:
            compare.create_revision = digits.below(9)
        case 2:
            compare.mod_revision = digits.below(9)
        case 3:
            compare.value = digits.one_of(_VALUES)
        case _:
            compare.lease = digits.one_of(_LEASES)
    return compare


def _request_op(digits: Digits, depth: int) -> rpc_pb2.RequestOp:
    op = rpc_pb2.RequestOp()
    kind = digits.one_of("rppdt" if depth else "rppd")
    if kind == "r":
        op.request_range.CopyFrom(_range(digits))
    elif kind == "p":
        op.request_put.CopyFrom(_put(digits))
    elif kind == "d":
        op.request_delete_range.CopyFrom(_delete_range(digits))
    else:
        op.request_txn.CopyFrom(_txn(digits, depth - 1))
    return op


def _txn(digits: Digits, depth: int = 2) -> rpc_pb2.TxnRequest:
    return rpc_pb2.TxnRequest(
        compare=[_compare(digits) for _ in range(digits.below(3))],
        success=[_request_op(digits, depth) for _ in range(digits.below(4))],
        failure=[_request_op(digits, depth) for _ in range(digits.below(4))],
    )


def _watch(digits: Digits) -> rpc_pb2.WatchCreateRequest:
    filters = digits.one_of(((), (), (), (0,), (1,)))
    return rpc_pb2.WatchCreateRequest(
        key=digits.one_of(KEYS),
        range_end=digits.one_of(_ENDS),
        prev_kv=digits.rarely(2),
        fragment=digits.rarely(3),
        filters=filters,  # type: ignore[arg-type]
        watch_id=digits.one_of((0, 0, 0, 50, 51)),
    )


def _passing(digits: Digits) -> int:
    return digits.one_of(PASSING_LEASES)


def _any_lease(digits: Digits) -> int:
    return digits.one_of((*PASSING_LEASES, *LASTING_LEASES, 9))


_READERS = {
    "KV/Put": _put,
    "KV/Range": _range,
    "KV/DeleteRange": _delete_range,
    "KV/Txn": _txn,
    "KV/Compact": lambda d: rpc_pb2.CompactionRequest(
        revision=d.one_of(_COMPACTIONS), physical=True
    ),
    "Lease/LeaseGrant": lambda d: rpc_pb2.LeaseGrantRequest(
        ID=_passing(d), TTL=d.one_of((TTL_SECONDS, TTL_SECONDS, TTL_SECONDS, 9_000_000_001))
    ),
    "Lease/LeaseRevoke": lambda d: rpc_pb2.LeaseRevokeRequest(ID=_passing(d)),
    "Lease/LeaseTimeToLive": lambda d: rpc_pb2.LeaseTimeToLiveRequest(
        ID=_any_lease(d), keys=not d.rarely(4)
    ),
    "Lease/LeaseKeepAlive": lambda d: rpc_pb2.LeaseKeepAliveRequest(ID=_any_lease(d)),
    "Lease/LeaseLeases": lambda _: rpc_pb2.LeaseLeasesRequest(),
    "Watch/Watch": _watch,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Where a sequence lives: its prefix, its first revision, its first lease id."""

    prefix: bytes
    revision: int
    lease: int

    @property
    def end(self) -> bytes:
        """The end of the range that is the prefix."""
        return self.prefix[:-1] + bytes((self.prefix[-1] + 1,))

    def bind(self, request: Message) -> Message:
        """Return *request* with keys, revisions and leases made absolute."""
        bound = type(request)()
        bound.CopyFrom(request)
        self._bind(bound)
        return bound

    def _bind(self, message: Message) -> None:
        for descriptor, value in message.ListFields():
            if descriptor.message_type is not None:
                for one in value if descriptor.is_repeated else (value,):
                    self._bind(one)
            elif descriptor.name.endswith("revision"):
                if value > 0:
                    setattr(message, descriptor.name, value + self.revision)
            elif descriptor.name in ("lease", "ID"):
                setattr(message, descriptor.name, value and value + self.lease)
            elif descriptor.name == "range_end":
                end = self.end if value == ALL else self.prefix + value
                setattr(message, descriptor.name, end)
            elif descriptor.name == "key":
                # The empty key is not in the list of fields: it stays empty, and is refused.
                setattr(message, descriptor.name, self.prefix + value)


def opening() -> list[Operation]:
    """Return what every sequence begins with: leases, keys, a deletion; seven revisions."""
    made = [
        Operation("Lease/LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=lease, TTL=TTL_SECONDS))
        for lease in (PASSING_LEASES[0], *LASTING_LEASES)
    ]
    for key, value, lease in (
        (b"a", b"1", 0),
        (b"b", b"2", LASTING_LEASES[0]),
        (b"c", b"1", LASTING_LEASES[1]),
        (b"a", b"2", PASSING_LEASES[0]),
    ):
        made.append(Operation("KV/Put", rpc_pb2.PutRequest(key=key, value=value, lease=lease)))
    made.append(Operation("KV/DeleteRange", rpc_pb2.DeleteRangeRequest(key=b"b")))
    made += [Operation("KV/Put", rpc_pb2.PutRequest(key=key, value=b"3")) for key in (b"b", b"ab")]
    return made


def history_watch() -> Operation:
    """Return a watch of all that the opening did: the first operation after it, or none."""
    request = rpc_pb2.WatchCreateRequest(key=KEYS[0], range_end=ALL, start_revision=2, prev_kv=True)
    return Operation("Watch/Watch", request)


def ending() -> list[Operation]:
    """Return what every sequence ends with: no lease and no key is left.

    The last two revisions put every key, and delete it: whatever a watch wants, it wants one of
    them, so its end is known.
    """
    leases = (*LASTING_LEASES, *PASSING_LEASES)
    made = [Operation("Lease/LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=one)) for one in leases]
    puts = rpc_pb2.TxnRequest()
    for key in KEYS:
        puts.success.add().request_put.key = key
    made.append(Operation("KV/Txn", puts))
    everything = rpc_pb2.DeleteRangeRequest(key=KEYS[0], range_end=ALL, prev_kv=True)
    made.append(Operation("KV/DeleteRange", everything))
    return made
