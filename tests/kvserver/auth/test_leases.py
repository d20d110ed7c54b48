"""Leases and permissions: who may end one is compared with a real etcd."""

import pytest

from c101.core.proto import rpc_pb2
from tests.kvserver.auth.pair import SLOW_SECONDS, Session, set_up
from tests.kvserver.auth.users import USERS, Put
from tests.kvserver.processes import HAVE_ETCD

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(SLOW_SECONDS),
    pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here"),
]

Pair = tuple[Session, Session]


@pytest.mark.parametrize("lease", [7, 8, 9, 99])
def test_a_lease_is_ended_by_who_may_write_all_its_keys(both: Pair, lease: int) -> None:
    # Root comes last: whoever may ends the lease, and the others hear that it is gone.
    for session in both:
        session.wipe()
        session.ask("Lease/LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=lease))
        if lease != 99:
            session.ask("Lease/LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=lease, TTL=9000))
        if lease in (7, 8):
            key = b"x/secret" if lease == 7 else b"u/a"
            session.ask("KV/Put", Put(key=key, lease=lease))
        set_up(session, {name: USERS[name] for name in ("both", "reader", "writer")})
        session.tokens["bad token"] = "abcdefghijklmnop.3"
    # Who has no name is refused at once by later releases, 3.4 looks for the lease first.
    for caller in ("reader", "bad token", "writer", "both", "root"):
        request = rpc_pb2.LeaseRevokeRequest(ID=lease)
        mine, theirs = (session.ask("Lease/LeaseRevoke", request, caller) for session in both)
        assert mine == theirs, f"asked by {caller!r}"
