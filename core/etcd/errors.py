"""What the KV refuses, one class for each cause that somebody handles.

The KV says why in a gRPC status and an exact text (reference: etcd ``api/v3rpc/rpctypes``);
``from_rpc`` is the one place where those become classes.
"""

from collections.abc import Mapping

from c101.core.errors import AuthError, C101Error, DeadlineExceededError, LinkError
from c101.core.rpc.status import Code, RpcError


class KVError(C101Error):
    """The KV answered, with a refusal. ``status`` is the gRPC status, when there was one."""

    code = "kv"

    def __init__(
        self, message: str, *, status: Code | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class CompactedError(KVError):
    """The revision asked for has been compacted away.

    ``compacted`` is the oldest revision that can still be read; 0 when the KV did not say.
    """

    code = "compacted"

    def __init__(self, revision: int, compacted: int = 0) -> None:
        upto = f" up to {compacted}" if compacted else ""
        super().__init__(f"revision {revision} is gone: compacted{upto}", status=Code.OUT_OF_RANGE)
        self.revision = revision
        self.compacted = compacted


class FutureRevisionError(KVError):
    """The revision asked for has not happened yet."""

    code = "future_revision"


class HistoryChangedError(KVError):
    """Another history answers under the same address: a KV that was wiped, restored or swapped.

    What was read before is not the past of what would be read now.
    """

    code = "history_changed"


class LeaseNotFoundError(KVError):
    """The lease does not exist, or exists no longer."""

    code = "lease_not_found"


class LeaseExistsError(KVError):
    """The lease id asked for is taken."""

    code = "lease_exists"


class LockLostError(KVError):
    """The lease under a lock, or under a candidate, ended: somebody else may hold it."""

    code = "lock_lost"


class LockHeldError(KVError):
    """Somebody else holds the lock, and the one who asked would not wait.

    ``key`` is the holder's, ``revision`` the one since which it is held.
    """

    code = "lock_held"

    def __init__(self, key: bytes, revision: int) -> None:
        super().__init__(f"{key!r} holds the lock since revision {revision}")
        self.key = key
        self.revision = revision


class InvalidRequestError(KVError):
    """The request can never succeed as it is: an empty key, a key put twice in one txn ..."""

    exit_status = 2
    code = "usage"


class NoSpaceError(KVError):
    """The KV reached its quota: it takes no writes until space is made and the alarm disarmed."""

    code = "no_space"


class PermissionDeniedError(KVError):
    """The role we have does not allow this."""

    code = "permission_denied"


class AuthenticationError(KVError, AuthError):
    """The KV does not know the user, or the password is another."""

    code = "auth"


class UnavailableError(KVError, LinkError):
    """The KV was reached and cannot serve at the moment: no leader, stopping, overloaded."""

    code = "unreachable"


class WatchCancelledError(KVError):
    """The KV ended a watch, for the reason given."""

    code = "watch_cancelled"


_QUORUM = "more than half of the members must be up and reach each other"
_USER = "the KV asks who you are: give a user and a password"

_FUTURE_REVISION = "etcdserver: mvcc: required revision is a future revision"
#: A server that gave up for our time-out says so as UNKNOWN (etcd 3.4: no code for Go's own error).
DEADLINE_TEXT = "context deadline exceeded"
NO_LEADER_TEXT = "etcdserver: no leader"
COMPACTED_TEXT = "etcdserver: mvcc: required revision has been compacted"

_BY_TEXT: Mapping[tuple[Code, str], type[KVError]] = {
    (Code.OUT_OF_RANGE, _FUTURE_REVISION): FutureRevisionError,
    (Code.NOT_FOUND, "etcdserver: requested lease not found"): LeaseNotFoundError,
    (Code.FAILED_PRECONDITION, "etcdserver: lease already exists"): LeaseExistsError,
    (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"): NoSpaceError,
    (Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests"): UnavailableError,
    (Code.UNKNOWN, "raft proposal dropped"): UnavailableError,
    (
        Code.INVALID_ARGUMENT,
        "etcdserver: authentication failed, invalid user ID or password",
    ): AuthenticationError,
}
#: What a person can do about it.
_HINTS: Mapping[tuple[Code, str], str] = {
    (Code.UNAVAILABLE, NO_LEADER_TEXT): _QUORUM,
    (Code.UNAVAILABLE, "etcdserver: request timed out"): _QUORUM,
    (Code.INVALID_ARGUMENT, "etcdserver: user name is empty"): _USER,
    (Code.UNAUTHENTICATED, "etcdserver: invalid auth token"): _USER,
}
_BY_STATUS: Mapping[Code, type[KVError]] = {
    Code.INVALID_ARGUMENT: InvalidRequestError,
    Code.PERMISSION_DENIED: PermissionDeniedError,
    Code.UNAUTHENTICATED: PermissionDeniedError,
    Code.UNAVAILABLE: UnavailableError,
}


def from_rpc(error: RpcError, *, revision: int = 0) -> C101Error:
    """Return what *error* means; *revision* is the one that was asked for, if one was.

    The text is kept but for etcd's ``etcdserver:`` in front of it.
    """
    if error.message == DEADLINE_TEXT:
        return DeadlineExceededError("the KV could not answer in time")
    if error.status is Code.DEADLINE_EXCEEDED:
        return DeadlineExceededError(readable(error.message))
    key = (error.status, error.message)
    if key == (Code.OUT_OF_RANGE, COMPACTED_TEXT):
        return CompactedError(revision)
    kind = _BY_TEXT.get(key) or _BY_STATUS.get(error.status, KVError)
    return kind(readable(error.message), status=error.status, hint=_HINTS.get(key))


def readable(text: str) -> str:
    """Return a text of the KV for a person."""
    return text.removeprefix("etcdserver: ").removeprefix("mvcc: ")
