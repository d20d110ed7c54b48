"""What every service needs: the store, the header of answers, and how requests are read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from c101.core.clock import Clock
from c101.core.kv import refusal
from c101.core.kv.auth.store import AuthStore
from c101.core.kv.compactor import Compactor
from c101.core.kv.reads import Reads
from c101.core.kv.record import header_encoder
from c101.core.kv.refusal import refuse
from c101.core.kv.store import Store
from c101.core.rpc.server import ServerStream
from c101.core.rpc.status import Code, RpcError

#: The version clients are told: the API is that of etcd 3.4.
ETCD_VERSION = "3.4.23"
CLUSTER_VERSION = "3.4.0"
#: A single member has no raft; clients want to see a term that is not 0.
RAFT_TERM = 2
#: A larger request is refused, as etcd does (1.5 MiB).
REQUEST_BYTES_MAX = 1_572_864

_M = TypeVar("_M", bound=Message)


@dataclass(slots=True, kw_only=True)
class Context:
    """The store as the services see it."""

    store: Store
    reads: Reads
    compactor: Compactor
    auth: AuthStore
    clock: Clock
    header: Callable[[int], bytes]
    client_urls: tuple[str, ...] = ()
    streams: set[ServerStream] = field(default_factory=set)

    @classmethod
    def of(cls, store: Store, clock: Clock) -> "Context":
        """Return the context of *store*."""
        header = header_encoder(store.storage.cluster_id, store.storage.member_id, RAFT_TERM)
        store.watches.header = header
        return cls(
            store=store,
            reads=Reads(store, clock),
            compactor=Compactor(store, clock),
            auth=AuthStore(store, clock),
            clock=clock,
            header=header,
        )

    def current_header(self) -> bytes:
        """Return the header at the committed revision."""
        return self.header(self.store.revision)

    def stop_streams(self) -> None:
        """End watches and keep-alives: the server stops."""
        for stream in list(self.streams):
            stream.stop(*refusal.STOPPED)


def parse(kind: type[_M], message: bytes) -> _M:
    """Read a request; raises RpcError for bytes that are none, or too many."""
    if len(message) > REQUEST_BYTES_MAX:
        raise refuse(refusal.REQUEST_TOO_LARGE)
    try:
        return kind.FromString(message)
    except DecodeError as exc:
        raise RpcError(Code.INTERNAL, f"grpc: error unmarshalling request: {exc}") from exc
