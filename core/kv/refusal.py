"""What etcd answers when it refuses: codes and texts are part of the API, clients match on them."""

from c101.core.rpc.status import Code, RpcError

Refusal = tuple[Code, str]

KEY_NOT_PROVIDED = (Code.INVALID_ARGUMENT, "etcdserver: key is not provided")
KEY_NOT_FOUND = (Code.INVALID_ARGUMENT, "etcdserver: key not found")
VALUE_PROVIDED = (Code.INVALID_ARGUMENT, "etcdserver: value is provided")
LEASE_PROVIDED = (Code.INVALID_ARGUMENT, "etcdserver: lease is provided")
TOO_MANY_OPERATIONS = (
    Code.INVALID_ARGUMENT,
    "etcdserver: too many operations in txn request",
)
DUPLICATE_KEY = (Code.INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request")
INVALID_SORT_OPTION = (Code.INVALID_ARGUMENT, "etcdserver: invalid sort option")
REQUEST_TOO_LARGE = (Code.INVALID_ARGUMENT, "etcdserver: request is too large")
COMPACTED = (Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")
FUTURE_REVISION = (
    Code.OUT_OF_RANGE,
    "etcdserver: mvcc: required revision is a future revision",
)
NO_SPACE = (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")
TOO_MANY_REQUESTS = (Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests")
LEASE_NOT_FOUND = (Code.NOT_FOUND, "etcdserver: requested lease not found")
LEASE_EXISTS = (Code.FAILED_PRECONDITION, "etcdserver: lease already exists")
LEASE_TTL_TOO_LARGE = (Code.OUT_OF_RANGE, "etcdserver: too large lease TTL")
CORRUPT = (Code.DATA_LOSS, "etcdserver: corrupt cluster")
BAD_TRANSFEREE = (Code.FAILED_PRECONDITION, "etcdserver: bad leader transferee")
ROOT_USER_NOT_EXIST = (Code.FAILED_PRECONDITION, "etcdserver: root user does not exist")
ROOT_ROLE_NOT_EXIST = (
    Code.FAILED_PRECONDITION,
    "etcdserver: root user does not have root role",
)
USER_EXISTS = (Code.FAILED_PRECONDITION, "etcdserver: user name already exists")
USER_EMPTY = (Code.INVALID_ARGUMENT, "etcdserver: user name is empty")
USER_NOT_FOUND = (Code.FAILED_PRECONDITION, "etcdserver: user name not found")
ROLE_EXISTS = (Code.FAILED_PRECONDITION, "etcdserver: role name already exists")
ROLE_NOT_FOUND = (Code.FAILED_PRECONDITION, "etcdserver: role name not found")
ROLE_EMPTY = (Code.INVALID_ARGUMENT, "etcdserver: role name is empty")
AUTH_FAILED = (
    Code.INVALID_ARGUMENT,
    "etcdserver: authentication failed, invalid user ID or password",
)
#: etcd has no name for this one in its API: its inner text gets out as it is.
NO_PASSWORD_USER = (
    Code.UNKNOWN,
    "auth: authentication failed, password was given for no password user",
)
PERMISSION_NOT_GIVEN = (Code.INVALID_ARGUMENT, "etcdserver: permission not given")
PERMISSION_DENIED = (Code.PERMISSION_DENIED, "etcdserver: permission denied")
ROLE_NOT_GRANTED = (Code.FAILED_PRECONDITION, "etcdserver: role is not granted to the user")
PERMISSION_NOT_GRANTED = (
    Code.FAILED_PRECONDITION,
    "etcdserver: permission is not granted to the role",
)
AUTH_NOT_ENABLED = (Code.FAILED_PRECONDITION, "etcdserver: authentication is not enabled")
INVALID_AUTH_TOKEN = (Code.UNAUTHENTICATED, "etcdserver: invalid auth token")
INVALID_AUTH_MANAGEMENT = (Code.INVALID_ARGUMENT, "etcdserver: invalid auth management")
AUTH_OLD_REVISION = (Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old")
STOPPED = (Code.UNAVAILABLE, "etcdserver: server stopped")
#: What is read is damaged.
CORRUPT = (Code.DATA_LOSS, "etcdserver: corrupt cluster")
#: Ours (etcd panics when its disk fails): whether the write survived is unknown.
STORAGE_FAILED = (Code.UNAVAILABLE, "etcdserver: storage failed, the store is read-only")
#: The database cannot be read where it was to be; etcd says so of members that differ.
CORRUPT = (Code.DATA_LOSS, "etcdserver: corrupt cluster")
#: The texts that a watch carries in cancel_reason.
WATCH_EMPTY_RANGE = "mvcc: watcher range is empty"
WATCH_DUPLICATE_ID = "mvcc: duplicate watch ID provided on the WatchStream"


def refuse(refusal: Refusal) -> RpcError:
    """Return the error to raise for *refusal*."""
    code, text = refusal
    return RpcError(code, text)
