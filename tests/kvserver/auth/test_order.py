"""A write is judged when it is staged, not when it arrives."""

import asyncio
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest
from google.protobuf.message import Message

from c101.core.clock import SystemClock
from c101.core.kv import refusal
from c101.core.kv.auth import checks
from c101.core.kv.auth.caller import Caller
from c101.core.kv.auth.state import Change
from c101.core.kvserver.server import KvServer
from c101.core.proto import auth_pb2, rpc_pb2
from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import TcpDialer, UnixDialer
from c101.core.rpc.peer import Peer
from c101.core.rpc.status import RpcError
from tests.kvserver.auth.pair import SLOW_SECONDS

pytestmark = pytest.mark.timeout(SLOW_SECONDS)

SECONDS = 60.0


class Gate:
    """A write that is being staged until it is told to end."""

    def __init__(self, server: KvServer) -> None:
        self._going_on = True
        self._gate = server.context.store.gate
        self._gate.perform(self._steps(), lambda _: None)

    def _steps(self) -> Generator[None, None, list[bytes]]:
        while self._going_on:
            yield
        return []

    def open(self) -> None:
        self._going_on = False

    async def waiting(self, count: int) -> None:
        """Wait until *count* writes wait behind it."""
        async with asyncio.timeout(SECONDS):
            while len(self._gate._waiting) < count:
                await asyncio.sleep(0.005)


class Asking:
    """Requests to one server on behalf of one user."""

    def __init__(self, channel: Channel, token: str | None = None) -> None:
        self.channel = channel
        self.token = token
        self._metadata = () if token is None else (("token", token),)

    async def ask(self, path: str, request: Message) -> bytes:
        return await self.channel.unary(
            "/etcdserverpb." + path,
            request.SerializeToString(),
            timeout=SECONDS,
            metadata=self._metadata,
        )


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[KvServer]:
    async with KvServer(tmp_path / "kv", SystemClock()) as one:
        await one.listen_tcp("127.0.0.1", 0)
        await one.listen_unix(tmp_path / "kv-admin.sock")
        yield one


@pytest.fixture
async def by_socket(server: KvServer, tmp_path: Path) -> AsyncIterator[Asking]:
    """Who comes by the admin socket."""
    channel = Channel(UnixDialer(str(tmp_path / "kv-admin.sock")))
    yield Asking(channel)
    await channel.close()


@pytest.fixture
async def by_tcp(server: KvServer) -> AsyncIterator[Asking]:
    """Who comes by TCP and says no name."""
    port = int(server.urls[0].rpartition(":")[2])
    channel = Channel(TcpDialer("127.0.0.1", port))
    yield Asking(channel)
    await channel.close()


@pytest.fixture
async def user(by_socket: Asking, by_tcp: Asking) -> Asking:
    """User u by TCP, who may read and write ``u/``; auth is on."""
    ask = by_socket.ask
    for name in ("root", "u"):
        await ask("Auth/UserAdd", rpc_pb2.AuthUserAddRequest(name=name, password=name))
        await ask("Auth/RoleAdd", rpc_pb2.AuthRoleAddRequest(name=name))
        await ask("Auth/UserGrantRole", rpc_pb2.AuthUserGrantRoleRequest(user=name, role=name))
    permission = auth_pb2.Permission(permType="READWRITE", key=b"u/", range_end=b"u0")
    await ask(
        "Auth/RoleGrantPermission",
        rpc_pb2.AuthRoleGrantPermissionRequest(name="u", perm=permission),
    )
    await ask("Auth/AuthEnable", rpc_pb2.AuthEnableRequest())
    answer = await by_tcp.ask(
        "Auth/Authenticate", rpc_pb2.AuthenticateRequest(name="u", password="u")
    )
    return Asking(by_tcp.channel, rpc_pb2.AuthenticateResponse.FromString(answer).token)


REVOKE = rpc_pb2.AuthUserRevokeRoleRequest(name="u", role="u")
PUT = rpc_pb2.PutRequest(key=b"u/a", value=b"1")
WRITES: dict[str, tuple[str, Message]] = {
    "put": ("KV/Put", PUT),
    "delete": ("KV/DeleteRange", rpc_pb2.DeleteRangeRequest(key=b"u/", range_end=b"u0")),
    "txn": (
        "KV/Txn",
        rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_put=PUT)]),
    ),
    "end of a lease": ("Lease/LeaseRevoke", rpc_pb2.LeaseRevokeRequest(ID=7)),
}


async def refused_with(asked: "asyncio.Task[bytes]") -> tuple[object, str]:
    with pytest.raises(RpcError) as error:
        await asked
    return error.value.status, error.value.message


@pytest.mark.parametrize("what", WRITES)
async def test_a_write_that_waited_while_its_permission_was_revoked_is_refused(
    server: KvServer, by_socket: Asking, user: Asking, what: str
) -> None:
    await by_socket.ask("Lease/LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=7, TTL=9000))
    await by_socket.ask("KV/Put", rpc_pb2.PutRequest(key=b"u/a", lease=7))
    before = server.context.store.revision
    gate = Gate(server)
    revoking = asyncio.create_task(by_socket.ask("Auth/UserRevokeRole", REVOKE))
    await gate.waiting(1)
    writing = asyncio.create_task(user.ask(*WRITES[what]))
    await gate.waiting(2)
    gate.open()
    assert await refused_with(writing) == refusal.AUTH_OLD_REVISION
    await revoking
    # Asked again, as clients do, it is denied.
    assert await refused_with(asyncio.create_task(user.ask(*WRITES[what]))) == (
        refusal.PERMISSION_DENIED
    )
    assert server.context.store.revision == before


@pytest.mark.parametrize("what", WRITES)
async def test_a_write_that_came_before_the_revocation_is_done(
    server: KvServer, by_socket: Asking, user: Asking, what: str
) -> None:
    await by_socket.ask("Lease/LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=7, TTL=9000))
    await by_socket.ask("KV/Put", rpc_pb2.PutRequest(key=b"u/a", lease=7))
    before = server.context.store.revision
    gate = Gate(server)
    writing = asyncio.create_task(user.ask(*WRITES[what]))
    await gate.waiting(1)
    revoking = asyncio.create_task(by_socket.ask("Auth/UserRevokeRole", REVOKE))
    await gate.waiting(2)
    gate.open()
    await writing
    await revoking
    assert server.context.store.revision == before + 1


async def test_a_write_without_a_name_that_waited_while_auth_was_enabled_is_refused(
    server: KvServer, by_socket: Asking, by_tcp: Asking, user: Asking
) -> None:
    await by_socket.ask("Auth/AuthDisable", rpc_pb2.AuthDisableRequest())
    gate = Gate(server)
    nameless = asyncio.create_task(by_tcp.ask("KV/Put", PUT))
    trusted = asyncio.create_task(by_socket.ask("KV/Put", PUT))
    await gate.waiting(2)
    # As if a commit that was under way when the gate closed had turned it on.
    auth = server.auth
    auth.state.apply(Change(enabled=True, bumps=False))
    auth.enabled = True
    gate.open()
    assert await refused_with(nameless) == refusal.USER_EMPTY
    await trusted


async def test_a_long_read_is_refused_if_the_auth_store_changed_under_it(
    server: KvServer, by_socket: Asking, user: Asking
) -> None:
    # Enough to take many steps of the loop.
    for first in range(0, 20_000, 100):
        ops = [
            rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"u/%06d" % (first + number)))
            for number in range(100)
        ]
        await by_socket.ask("KV/Txn", rpc_pb2.TxnRequest(success=ops))
    read = rpc_pb2.RangeRequest(key=b"u/", range_end=b"u0", sort_target="VALUE")
    reading = asyncio.create_task(user.ask("KV/Range", read))
    stepper = server.context.reads._stepper
    async with asyncio.timeout(SECONDS):
        while not stepper._running:
            assert not reading.done(), "the read took one step only"
            await asyncio.sleep(0)
    # In this turn of the loop a change becomes known.
    server.auth.state.apply(Change())
    assert await refused_with(reading) == refusal.AUTH_OLD_REVISION
    await user.ask("KV/Range", read)


async def test_a_lease_of_many_keys_is_looked_at_in_steps(
    server: KvServer, by_socket: Asking, user: Asking
) -> None:
    await by_socket.ask("Lease/LeaseGrant", rpc_pb2.LeaseGrantRequest(ID=7, TTL=9000))
    count = 2 * checks.KEYS_PER_STEP + 100
    for first in range(0, count, 100):
        puts = [rpc_pb2.PutRequest(key=b"u/%d" % (first + n), lease=7) for n in range(100)]
        ops = [rpc_pb2.RequestOp(request_put=put) for put in puts]
        await by_socket.ask("KV/Txn", rpc_pb2.TxnRequest(success=ops))
    context = server.context
    caller = Caller(user="u", revision=server.auth.revision)
    looking = checks.check_lease(server.auth, context.store.lessor, caller, 7)
    assert sum(1 for _ in looking) == 2
    leased = rpc_pb2.PutRequest(key=b"u/one more", lease=7)
    in_txn = rpc_pb2.TxnRequest(success=[rpc_pb2.RequestOp(request_put=leased)])
    told = rpc_pb2.LeaseTimeToLiveRequest(ID=7, keys=True)
    requests: list[tuple[str, Message]] = [
        ("KV/Put", leased),
        ("KV/Txn", in_txn),
        ("Lease/LeaseTimeToLive", told),
        ("Lease/LeaseLeases", rpc_pb2.LeaseLeasesRequest()),
    ]
    for path, request in requests:
        await user.ask(path, request)
    # One key of another's, and nothing of the lease is the user's to touch.
    await by_socket.ask("KV/Put", rpc_pb2.PutRequest(key=b"x", lease=7))
    before = server.context.store.revision
    revoke = rpc_pb2.LeaseRevokeRequest(ID=7)
    for path, request in [*requests, ("Lease/LeaseRevoke", revoke)]:
        asked = asyncio.create_task(user.ask(path, request))
        assert await refused_with(asked) == refusal.PERMISSION_DENIED
    assert server.context.store.revision == before


async def test_the_admin_socket_is_root_and_tcp_is_nobody(
    by_socket: Asking, by_tcp: Asking, user: Asking
) -> None:
    for path, request in (
        ("KV/Put", rpc_pb2.PutRequest(key=b"x")),
        ("KV/Range", rpc_pb2.RangeRequest(key=b"x")),
        ("Auth/UserList", rpc_pb2.AuthUserListRequest()),
        ("Maintenance/Defragment", rpc_pb2.DefragmentRequest()),
    ):
        await by_socket.ask(path, request)
        asked = asyncio.create_task(by_tcp.ask(path, request))
        assert await refused_with(asked) == refusal.USER_EMPTY
    # By the socket, too, a token is its user, and one that is nobody's is refused.
    as_user = Asking(by_socket.channel, user.token)
    asked = asyncio.create_task(as_user.ask("KV/Put", rpc_pb2.PutRequest(key=b"x")))
    assert await refused_with(asked) == refusal.PERMISSION_DENIED
    as_nobody = Asking(by_socket.channel, "rubbish")
    asked = asyncio.create_task(as_nobody.ask("KV/Put", rpc_pb2.PutRequest(key=b"x")))
    assert await refused_with(asked) == refusal.INVALID_AUTH_TOKEN


async def test_a_certificate_names_the_user_when_there_is_no_token(
    server: KvServer, by_socket: Asking, user: Asking
) -> None:
    loop = asyncio.get_running_loop()
    await by_socket.ask("KV/Put", rpc_pb2.PutRequest(key=b"u/a"))
    for name, key, answer in (
        ("u", b"u/a", None),
        ("u", b"x", refusal.PERMISSION_DENIED),
        ("nobody", b"u/a", refusal.PERMISSION_DENIED),
        ("", b"u/a", refusal.USER_EMPTY),
    ):
        # A listener that has verified certificates of this name.
        peer = Peer(kind="tcp", common_name=name)
        listener = await loop.create_server(lambda p=peer: server.rpc.protocol(p), "127.0.0.1", 0)  # type: ignore[misc]
        channel = Channel(TcpDialer("127.0.0.1", listener.sockets[0].getsockname()[1]))
        asked = asyncio.create_task(Asking(channel).ask("KV/Range", rpc_pb2.RangeRequest(key=key)))
        if answer is None:
            assert rpc_pb2.RangeResponse.FromString(await asked).count == 1
        else:
            assert await refused_with(asked) == answer
        await channel.close()
        listener.close()
