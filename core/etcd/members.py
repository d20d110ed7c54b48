"""What the KV says of its members: frozen values, and how each is read off the wire."""

from dataclasses import dataclass

from c101.core.proto import rpc_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The member that answered. ``leader`` is a member id, 0 while there is none."""

    version: str
    revision: int
    db_size: int
    leader: int
    cluster_id: int
    member_id: int


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
