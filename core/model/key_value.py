"""One key of the KV, as the store last wrote it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValue:
    """A key with its value and history (etcd: mvccpb.KeyValue).

    ``create_revision`` is the store revision that (re)created it, ``mod_revision`` the one of its
    last put,
    ``version`` counts puts since creation, ``lease`` is 0 for none.
    """

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0
