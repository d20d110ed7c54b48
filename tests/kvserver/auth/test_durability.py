"""An auth change that was acknowledged is there after any end of the process."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from c101.core.proto import rpc_pb2
from tests.kvserver.auth.pair import SLOW_SECONDS, Grant, Session, permission, set_up
from tests.kvserver.auth.users import Put, Range
from tests.kvserver.processes import Ours

pytestmark = [pytest.mark.integration, pytest.mark.timeout(SLOW_SECONDS)]

KILLS = 4


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Ours]:
    process = Ours(tmp_path)
    process.start()
    yield process
    process.stop()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_users_roles_and_that_auth_is_on_outlive_the_process(own: Ours, end: int) -> None:
    session = Session(own.client())
    set_up(session, {"u": Grant(permission("READWRITE", b"u/", b"u0"))})
    revision = _status(session).authRevision
    session.client.close()
    own.kill(end)
    own.start()
    again = Session(own.client())
    assert again.ask("KV/Range", Range(key=b"u/a"))[1] == "etcdserver: user name is empty"  # type: ignore[index]
    # Tokens live in memory: who had one logs in anew.
    again.tokens = dict(session.tokens)
    assert again.ask("KV/Range", Range(key=b"u/a"), "u") == (
        "UNAUTHENTICATED",
        "etcdserver: invalid auth token",
    )
    for name in ("root", "u"):
        again.log_in(name, name)
    status = _status(again)
    assert status.enabled
    assert status.authRevision == revision
    assert not isinstance(again.ask("KV/Put", Put(key=b"u/a", value=b"1"), "u"), tuple)
    denied = again.ask("KV/Put", Put(key=b"x"), "u")
    assert denied == ("PERMISSION_DENIED", "etcdserver: permission denied")
    again.client.close()


def _status(session: Session) -> rpc_pb2.AuthStatusResponse:
    answer = session.ask("Auth/AuthStatus", rpc_pb2.AuthStatusRequest(), "root")
    assert isinstance(answer, rpc_pb2.AuthStatusResponse)
    return answer


class Adder(threading.Thread):
    """Adds roles until the server is gone; knows which were acknowledged."""

    def __init__(self, own: Ours, name: str) -> None:
        super().__init__()
        self.prefix = name
        self.acknowledged: list[str] = []
        self._client = own.client()

    def run(self) -> None:
        try:
            while True:
                name = f"{self.prefix}-{len(self.acknowledged)}"
                request = rpc_pb2.AuthRoleAddRequest(name=name)
                self._client.call("Auth/RoleAdd", request, rpc_pb2.AuthRoleAddResponse)
                self.acknowledged.append(name)
        except grpc.RpcError:
            return
        finally:
            self._client.close()


def test_kill_9_while_many_change_loses_nothing_that_was_acknowledged(own: Ours) -> None:
    acknowledged: set[str] = set()
    for kill in range(KILLS):
        adders = [Adder(own, f"{kill}-{number}") for number in range(3)]
        for adder in adders:
            adder.start()
        while not all(len(adder.acknowledged) >= 5 for adder in adders):
            assert all(adder.is_alive() for adder in adders)
            threading.Event().wait(0.01)
        own.kill(signal.SIGKILL)
        for adder in adders:
            adder.join()
            acknowledged.update(adder.acknowledged)
        own.start()
        session = Session(own.client())
        roles = session.ask("Auth/RoleList", rpc_pb2.AuthRoleListRequest())
        assert isinstance(roles, rpc_pb2.AuthRoleListResponse)
        found = set(roles.roles)
        assert acknowledged <= found
        # At most one a thread and kill was under way, and may have been done.
        assert len(found) <= len(acknowledged) + 3 * (kill + 1)
        # Each change raised the revision by one, so none was done by halves.
        assert _status_of_nobody(session).authRevision == 1 + len(found)
        session.client.close()


def _status_of_nobody(session: Session) -> rpc_pb2.AuthStatusResponse:
    answer = session.ask("Auth/AuthStatus", rpc_pb2.AuthStatusRequest())
    assert isinstance(answer, rpc_pb2.AuthStatusResponse)
    return answer
