"""What goes with a request beside its message."""

Metadata = tuple[tuple[bytes, bytes], ...]

#: Asks a member that has no leader to say so at once, instead of leaving a request or a stream
#: waiting (etcd: api/v3rpc/rpctypes/metadatafields.go).
REQUIRE_LEADER = (b"hasleader", b"true")

#: One tuple for every request of a client without a user. The leader's field comes first always.
WITH_LEADER: Metadata = (REQUIRE_LEADER,)


def with_token(token: str) -> Metadata:
    """Return the metadata of a request that carries *token*; no two are the same object."""
    return (REQUIRE_LEADER, (b"token", token.encode()))
