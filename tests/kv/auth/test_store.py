"""Changes of the auth store: one at a time, known when durable, in the order of writes."""

import asyncio
import threading
from collections.abc import AsyncIterator, Generator
from functools import partial
from pathlib import Path

import pytest

from c101.core.kv import refusal
from c101.core.kv.answers import Durable
from c101.core.kv.auth import role_changes, user_changes
from c101.core.kv.auth import store as module
from c101.core.kv.auth.caller import NOBODY, TRUSTED, Caller
from c101.core.kv.auth.state import AuthState, Change, Role, User
from c101.core.kv.auth.store import CHANGES_WAITING_MAX, AuthStore
from c101.core.kv.storage import Storage
from c101.core.kv.store import Store
from c101.core.proto import auth_pb2, rpc_pb2
from c101.core.rpc.peer import ADMIN_ROLE, Peer
from c101.core.rpc.status import Code, RpcError
from tests.kv.conftest import HurriedClock

Metadata = tuple[tuple[bytes, bytes], ...]


class Call:
    """A call as the auth store sees it."""

    def __init__(self, metadata: Metadata = (), peer: Peer | None = None) -> None:
        self.metadata = metadata
        self.peer = peer or Peer(kind="tcp")


@pytest.fixture
async def auth(store: Store, clock: HurriedClock) -> AsyncIterator[AuthStore]:
    one = AuthStore(store, clock)
    yield one
    one.close()


def begin(auth: AuthStore, decide: object, caller: Caller = TRUSTED) -> asyncio.Future[None]:
    note = Durable(asyncio.get_running_loop())
    auth.change(caller, "test", decide, note)  # type: ignore[arg-type]
    return note.future


def add_user(name: str) -> partial[Change]:
    request = rpc_pb2.AuthUserAddRequest(
        name=name, options=auth_pb2.UserAddOptions(no_password=True)
    )
    return partial(_with_hash, user_changes.add, request)


def _with_hash(decide: object, request: object, state: AuthState) -> Change:
    return decide(state, request, b"")  # type: ignore[operator, no-any-return]


def add_role(name: str) -> object:
    return lambda state: role_changes.add(state, rpc_pb2.AuthRoleAddRequest(name=name))


def grant_role(user: str, role: str) -> object:
    request = rpc_pb2.AuthUserGrantRoleRequest(user=user, role=role)
    return lambda state: user_changes.grant_role(state, request)


def enable(state: AuthState) -> Change:
    return role_changes.enable(state, rpc_pb2.AuthEnableRequest())


async def with_root(auth: AuthStore) -> None:
    await begin(auth, add_user("root"))
    await begin(auth, grant_role("root", "root"))
    await begin(auth, enable)


async def test_a_change_is_known_when_it_is_durable_and_not_before(auth: AuthStore) -> None:
    added = begin(auth, add_user("u"))
    assert auth.state.users == {}
    await added
    assert list(auth.state.users) == ["u"]
    assert auth.revision == 2


async def test_two_changes_at_once_are_decided_one_on_the_other(auth: AuthStore) -> None:
    first, second, third = (begin(auth, add_user(name)) for name in ("u", "u", "v"))
    await first
    with pytest.raises(RpcError) as refused:
        await second
    assert (refused.value.status, refused.value.message) == refusal.USER_EXISTS
    await third
    assert auth.revision == 3


async def test_the_buckets_hold_what_etcds_backend_holds(auth: AuthStore, store: Store) -> None:
    await with_root(auth)
    await begin(auth, add_role("r"))
    request = rpc_pb2.AuthRoleGrantPermissionRequest(
        name="r",
        perm=auth_pb2.Permission(key=b"a", range_end=b"b", permType=2),  # type: ignore[arg-type]
    )
    await begin(auth, lambda state: role_changes.grant_permission(state, request))
    load = store.storage.load_bucket
    assert load("auth") == {b"authEnabled": b"\x01", b"authRevision": (5).to_bytes(8, "big")}
    # The options of a user are there also when they say nothing.
    assert load("authUsers") == {b"root": b'\n\x04root\x1a\x04root"\x02\x08\x01'}
    assert load("authRoles") == {b"r": b"\n\x01r\x12\x08\x08\x02\x12\x01a\x1a\x01b"}
    off = rpc_pb2.AuthDisableRequest()
    await begin(auth, lambda state: role_changes.disable(state, off))
    assert load("auth") == {b"authEnabled": b"\x00", b"authRevision": (6).to_bytes(8, "big")}
    delete = rpc_pb2.AuthUserDeleteRequest(name="root")
    await begin(auth, lambda state: user_changes.delete(state, delete))
    assert load("authUsers") == {}


async def test_what_was_changed_is_there_when_the_store_is_opened_again(
    tmp_path: Path, clock: HurriedClock
) -> None:
    first = Store(Storage(tmp_path / "again"), clock)
    auth = AuthStore(first, clock)
    await with_root(auth)
    await begin(auth, add_role("r"))
    auth.close()
    await first.close()
    second = Store(Storage(tmp_path / "again"), clock)
    auth = AuthStore(second, clock)
    assert auth.enabled
    assert auth.revision == 4
    assert list(auth.state.users) == ["root"]
    assert list(auth.state.roles) == ["r"]
    auth.close()
    await second.close()


async def test_names_that_are_no_text_are_kept_as_they_came_from_an_etcd(
    tmp_path: Path, clock: HurriedClock
) -> None:
    store = Store(Storage(tmp_path / "odd"), clock)
    raw = {b"\xff": User(name=b"\xff"), b"u": User(name=b"u", roles=["r"])}
    for name, user in raw.items():
        store.stage_bucket("authUsers", name, user.SerializeToString())
    store.stage_bucket("authRoles", b"r", Role(name=b"r").SerializeToString())
    await store.durable()
    auth = AuthStore(store, clock)
    delete = rpc_pb2.AuthRoleDeleteRequest(role="r")
    await begin(auth, lambda state: role_changes.delete(state, delete))
    assert list(store.storage.load_bucket("authUsers")) == [b"u", b"\xff"]
    assert list(auth.state.users["u"].roles) == []
    auth.close()
    await store.close()


async def test_a_change_whose_commit_fails_is_forgotten_and_the_next_is_decided_without_it(
    auth: AuthStore, store: Store
) -> None:
    # A full disk, as SQLite sees it: no page more than there are.
    writer = store.storage.writer
    pages = writer.execute("pragma page_count").fetchone()[0]
    writer.execute(f"pragma max_page_count={pages}")
    large = auth_pb2.Role(name=b"r" * 100_000)
    failing = begin(auth, lambda _state: Change(roles={"large": large}))
    waiting = begin(auth, add_role("r"))
    with pytest.raises(RpcError) as refused:
        await failing
    assert (refused.value.status, refused.value.message) == refusal.NO_SPACE
    writer.execute("pragma max_page_count=100000")
    await asyncio.gather(waiting, return_exceptions=True)
    await begin(auth, add_role("s"))
    assert "large" not in auth.state.roles
    assert "s" in auth.state.roles
    assert set(store.storage.load_bucket("authRoles")) == {
        name.encode() for name in auth.state.roles
    }
    # A write of somebody who came by what is known is not taken for an old one.
    auth.require_fresh(Caller(user="u", revision=auth.revision))


async def test_one_change_too_many_is_refused(
    auth: AuthStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHANGES_WAITING_MAX", 20)
    # One is under way, the others wait.
    waiting = [begin(auth, add_role(f"r{n}")) for n in range(21)]
    with pytest.raises(RpcError) as refused:
        begin(auth, add_role("more"))
    assert refused.value.status is Code.RESOURCE_EXHAUSTED
    await asyncio.gather(*waiting)
    assert len(auth.state.roles) == 21


async def test_many_refused_changes_in_a_row_are_all_answered(auth: AuthStore) -> None:
    waiting = [begin(auth, add_role("")) for _ in range(CHANGES_WAITING_MAX)]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, RpcError) for result in results)


async def test_only_an_admin_changes_and_that_is_looked_at_when_the_change_is_staged(
    auth: AuthStore,
) -> None:
    await with_root(auth)
    await begin(auth, add_user("admin"))
    await begin(auth, grant_role("admin", "root"))
    admin = Caller(user="admin", revision=auth.revision)
    revoke = rpc_pb2.AuthUserRevokeRoleRequest(name="admin", role="root")
    demoted = begin(auth, lambda state: user_changes.revoke_role(state, revoke))
    late = begin(auth, add_user("friend"), admin)
    await demoted
    with pytest.raises(RpcError) as refused:
        await late
    assert (refused.value.status, refused.value.message) == refusal.PERMISSION_DENIED
    with pytest.raises(RpcError) as refused:
        await begin(auth, add_user("friend"), NOBODY)
    assert (refused.value.status, refused.value.message) == refusal.USER_EMPTY


async def test_a_write_staged_after_a_change_it_came_before_is_of_an_old_revision(
    auth: AuthStore,
) -> None:
    await with_root(auth)
    writer = Caller(user="root", revision=auth.revision)
    changing = begin(auth, add_role("r"))
    # Staged, and not durable yet: the write would come after it.
    with pytest.raises(RpcError) as refused:
        auth.require_fresh(writer)
    assert (refused.value.status, refused.value.message) == refusal.AUTH_OLD_REVISION
    # A read sees what is durable, and by that it is permitted.
    auth.require_unchanged(writer)
    await changing
    with pytest.raises(RpcError):
        auth.require_unchanged(writer)
    auth.require_fresh(Caller(user="root", revision=auth.revision))
    # Who came by the admin socket depends on no revision.
    auth.require_fresh(TRUSTED)
    auth.require_unchanged(TRUSTED)


async def test_a_change_waits_for_the_write_that_is_being_staged(
    auth: AuthStore, store: Store
) -> None:
    going_on = True

    def steps() -> Generator[None, None, list[bytes]]:
        while going_on:
            yield
        return []

    store.gate.perform(steps(), lambda _: None)
    added = begin(auth, add_role("r"))
    await asyncio.sleep(0.02)
    assert not added.done()
    going_on = False
    await added
    assert list(auth.state.roles) == ["r"]


async def test_token_before_certificate_before_socket(auth: AuthStore) -> None:
    root = Peer(kind="unix", role=ADMIN_ROLE)
    certificate = Peer(kind="tcp", common_name="cn")
    assert auth.caller_of(Call()) == NOBODY
    assert auth.caller_of(Call(((b"token", b"rubbish"),))) == NOBODY
    assert auth.caller_of(Call(peer=root)) == TRUSTED
    await with_root(auth)
    token = auth._tokens.assign("u").encode()
    user = Caller(user="u", revision=auth.revision)
    both = Peer(kind="unix", role=ADMIN_ROLE, common_name="cn")
    assert auth.caller_of(Call(((b"token", token),), both)) == user
    assert auth.caller_of(Call(((b"authorization", token),))) == user
    assert auth.caller_of(Call(((b"authorization", b"x"), (b"token", token)))) == user
    assert auth.caller_of(Call(peer=certificate)) == Caller(user="cn", revision=auth.revision)
    assert auth.caller_of(Call(peer=root)) == TRUSTED
    # A gateway shows its own certificate, which is not its caller's.
    assert auth.caller_of(Call(((b"grpcgateway-accept", b"*/*"),), certificate)) == NOBODY
    for peer in (root, certificate, Peer()):
        with pytest.raises(RpcError) as refused:
            auth.caller_of(Call(((b"token", b"rubbish"),), peer))
        assert (refused.value.status, refused.value.message) == refusal.INVALID_AUTH_TOKEN


async def test_a_password_changed_while_it_is_checked_gives_no_token(auth: AuthStore) -> None:
    await with_root(auth)
    old, new = [await auth.passwords.hash(text) for text in ("old", "new")]
    request = rpc_pb2.AuthUserAddRequest(name="u")
    await begin(auth, lambda state: user_changes.add(state, request, old))
    # The check waits for its turn behind others.
    busy = threading.Event()
    others = [auth.passwords._run(busy.wait) for _ in range(auth.passwords._pool._max_workers)]
    waiting = asyncio.gather(*others)
    checking = asyncio.create_task(auth.authenticate(Call(), "u", "old"))
    await asyncio.sleep(0)
    change = rpc_pb2.AuthUserChangePasswordRequest(name="u")
    await begin(auth, lambda state: user_changes.change_password(state, change, new))
    busy.set()
    await waiting
    with pytest.raises(RpcError) as refused:
        await checking
    assert (refused.value.status, refused.value.message) == refusal.AUTH_FAILED
    assert len(auth._tokens) == 0
    assert await auth.authenticate(Call(), "u", "new")
