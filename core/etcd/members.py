"""What the KV says of its members: frozen values, and how each is read off the wire."""

from dataclasses import dataclass

from c101.core.proto import rpc_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The member that answered.

    ``leader`` is a member id, 0 while there is none. ``db_size`` and ``db_size_in_use`` are bytes
    on disk, and those of them that data needs: the difference is what defragmenting frees.
    ``errors``: what the member says is wrong, its alarms among it.
    """

    version: str
    revision: int
    db_size: int
    leader: int
    cluster_id: int
    member_id: int
    db_size_in_use: int = 0
    raft_term: int = 0
    raft_index: int = 0
    raft_applied_index: int = 0
    is_learner: bool = False
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of the KV's cluster."""

    id: int
    name: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    is_learner: bool = False


def status(message: rpc_pb2.StatusResponse) -> Status:
    """Read how a member is."""
    return Status(
        version=message.version,
        revision=message.header.revision,
        db_size=message.dbSize,
        leader=message.leader,
        cluster_id=message.header.cluster_id,
        member_id=message.header.member_id,
        db_size_in_use=message.dbSizeInUse,
        raft_term=message.raftTerm,
        raft_index=message.raftIndex,
        raft_applied_index=message.raftAppliedIndex,
        is_learner=message.isLearner,
        errors=tuple(message.errors),
    )


def member(message: rpc_pb2.Member) -> Member:
    """Read one member."""
    return Member(
        id=message.ID,
        name=message.name,
        peer_urls=tuple(message.peerURLs),
        client_urls=tuple(message.clientURLs),
        is_learner=message.isLearner,
    )
