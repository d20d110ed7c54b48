"""The users of the tests of permissions, what they may, and what is there for them."""

from google.protobuf.message import Message

from c101.core.proto import rpc_pb2
from tests.kvserver.auth.pair import Grant, Session, permission, set_up

USERS = {
    "both": Grant(permission("READWRITE", b"u/", b"u0")),
    "reader": Grant(permission("READ", b"u/", b"u0")),
    "writer": Grant(permission("WRITE", b"u/", b"u0")),
    "key": Grant(permission("READWRITE", b"u/a")),
    "tail": Grant(permission("READWRITE", b"u/", b"\0")),
    "nothing": Grant(),
}
CALLERS = ("", "root", *USERS, "bad token", "rubbish", "empty")

Range, Put, Delete = rpc_pb2.RangeRequest, rpc_pb2.PutRequest, rpc_pb2.DeleteRangeRequest
Txn, Op, Compare = rpc_pb2.TxnRequest, rpc_pb2.RequestOp, rpc_pb2.Compare


def guard(session: Session) -> None:
    """Make keys, leases and users, turn auth on, and log everybody in."""
    session.wipe()
    for lease in (7, 8, 9):
        session.ask("Lease/LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=lease, TTL=9000))
    session.ask("KV/Put", Put(key=b"x/secret", value=b"s", lease=7))
    session.ask("KV/Put", Put(key=b"u/a", value=b"1", lease=8))
    set_up(session, USERS)
    session.tokens |= {"bad token": "abcdefghijklmnop.3", "rubbish": "x", "empty": ""}


def op(**which: Message) -> rpc_pb2.RequestOp:
    return Op(**which)  # type: ignore[arg-type]


def then(*ops: rpc_pb2.RequestOp) -> rpc_pb2.TxnRequest:
    return Txn(success=ops)
