"""How a range is asked for: the options that every read shares."""

from enum import IntEnum
from typing import TypedDict

from c101.core.proto import rpc_pb2


class Sort(IntEnum):
    """What the keys of an answer are sorted by."""

    KEY = 0
    VERSION = 1
    CREATE_REVISION = 2
    MOD_REVISION = 3
    VALUE = 4


class RangeOptions(TypedDict, total=False):
    """Options of a read, each with etcd's meaning.

    ``revision``: read the past; 0 is the present. ``limit``: at most so many keys; 0 is all.
    ``keys_only``: values come empty. ``count_only``: no keys come at all. ``serializable``: a
    member may answer from its own data, stale where it is behind. ``sort`` with ``descending``.
    ``min_…`` and ``max_…``: only keys whose revision is within.
    """

    revision: int
    limit: int
    keys_only: bool
    count_only: bool
    serializable: bool
    sort: Sort
    descending: bool
    min_mod_revision: int
    max_mod_revision: int
    min_create_revision: int
    max_create_revision: int


def range_request(key: bytes, range_end: bytes, options: RangeOptions) -> rpc_pb2.RangeRequest:
    """Build the request for *key*, or for the keys from it up to *range_end*."""
    if not options:
        return rpc_pb2.RangeRequest(key=key, range_end=range_end)
    request = rpc_pb2.RangeRequest(
        key=key,
        range_end=range_end,
        revision=options.get("revision", 0),
        limit=options.get("limit", 0),
        keys_only=options.get("keys_only", False),
        count_only=options.get("count_only", False),
        serializable=options.get("serializable", False),
        min_mod_revision=options.get("min_mod_revision", 0),
        max_mod_revision=options.get("max_mod_revision", 0),
        min_create_revision=options.get("min_create_revision", 0),
        max_create_revision=options.get("max_create_revision", 0),
    )
    if "sort" in options or options.get("descending"):
        descending = options.get("descending", False)
        order = rpc_pb2.RangeRequest.DESCEND if descending else rpc_pb2.RangeRequest.ASCEND
        request.sort_order = order
        request.sort_target = _TARGETS[options.get("sort", Sort.KEY)]
    return request


_TARGETS = {
    Sort.KEY: rpc_pb2.RangeRequest.KEY,
    Sort.VERSION: rpc_pb2.RangeRequest.VERSION,
    Sort.CREATE_REVISION: rpc_pb2.RangeRequest.CREATE,
    Sort.MOD_REVISION: rpc_pb2.RangeRequest.MOD,
    Sort.VALUE: rpc_pb2.RangeRequest.VALUE,
}
