"""What every service needs: the store, the header of answers, and how requests are read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from c101.core.clock import Clock
from c101.core.kv import refusal
from c101.core.kv.auth.authority import Authority
from c101.core.kv.auth.store import AuthStore
from c101.core.kv.compactor import Compactor
from c101.core.kv.reads import Reads
from c101.core.kv.record import header_encoder
from c101.core.kv.refusal import refuse
from c101.core.kv.store import Store
from c101.core.kvserver.options import GRPC_OVERHEAD_BYTES, KvOptions
from c101.core.rpc.server import ServerStream
from c101.core.rpc.status import Code, RpcError

#: The version clients are told: the API is that of etcd 3.4.
ETCD_VERSION = "3.4.23"
#: A single member has no raft; clients want to see a term that is not 0.
RAFT_TERM = 2
#: What etcd measures is the entry in its log: a write and this much around it.
LOG_ENTRY_BYTES = 18

_M = TypeVar("_M", bound=Message)


@dataclass(slots=True, kw_only=True)
class Context:
    """The store as the services see it."""

    store: Store
    reads: Reads
    compactor: Compactor
    auth: Authority
    clock: Clock
    header: Callable[[int], bytes]
    options: KvOptions
    client_urls: list[str] = field(default_factory=list)
    streams: set[ServerStream] = field(default_factory=set)

    @classmethod
    def of(
        cls, store: Store, clock: Clock, options: KvOptions, auth: Authority | None = None
    ) -> "Context":
        """Return the context of *store*; *auth* is its auth store when nobody says another."""
        header = header_encoder(store.storage.cluster_id, store.storage.member_id, RAFT_TERM)
        store.watches.header = header
        store.watches.fragment_bytes_max = options.max_request_bytes + GRPC_OVERHEAD_BYTES
        return cls(
            store=store,
            reads=Reads(store, clock),
            compactor=Compactor(store, clock),
            auth=auth or AuthStore(store, clock),
            clock=clock,
            header=header,
            options=options,
        )

    def current_header(self) -> bytes:
        """Return the header at the committed revision."""
        return self.header(self.store.revision)

    @property
    def write_bytes_max(self) -> int:
        """The largest request that writes."""
        return self.options.max_request_bytes - LOG_ENTRY_BYTES

    @property
    def working(self) -> bool:
        """Whether something that was asked for is not done yet."""
        store = self.store
        return not store.settled or store.watches.delivering or self.reads.running

    def check_size(self, message: bytes) -> None:
        """Raise RpcError for a request to write that is too large."""
        if len(message) > self.write_bytes_max:
            raise refuse(refusal.REQUEST_TOO_LARGE)

    def stop_streams(self) -> None:
        """End watches and keep-alives: the server stops."""
        for stream in list(self.streams):
            stream.stop(*refusal.STOPPED)


def parse(kind: type[_M], message: bytes) -> _M:
    """Read a request; raises RpcError for bytes that are none."""
    try:
        return kind.FromString(message)
    except DecodeError as exc:
        raise RpcError(Code.INTERNAL, f"grpc: error unmarshalling request: {exc}") from exc
