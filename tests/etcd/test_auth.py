"""Who we are: users, permissions, and tokens that end while they are in use."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from c101.core.errors import AuthError
from c101.core.etcd import connect
from c101.core.etcd.auth import Access, Permission
from c101.core.etcd.client import Client
from c101.core.etcd.errors import (
    AuthenticationError,
    InvalidRequestError,
    KVError,
    PermissionDeniedError,
)
from c101.core.etcd.watch_group import WatchEndedError, WatchGroup
from tests.etcd.conftest import client_of
from tests.etcd.relay import relay_to
from tests.etcd.test_lease import renewed
from tests.processes import KVProcess

pytestmark = pytest.mark.integration


def as_user(url: str, user: str, password: str = "pass", timeout_seconds: float = 5.0) -> Client:
    return connect(url, user=user, password=password, timeout_seconds=timeout_seconds)


@pytest.fixture
async def root(own_server: KVProcess) -> AsyncIterator[Client]:
    """The user root of a KV that asks who one is; alice may read and write below /a/."""
    async with client_of(own_server) as client:
        await client.auth.add_user("root", "pass")
        await client.auth.add_role("root")
        await client.auth.grant_role("root", "root")
        await client.auth.add_user("alice", "pass")
        await client.auth.add_role("a")
        await client.auth.grant_prefix("a", Access.READWRITE, "/a/")
        await client.auth.grant_role("alice", "a")
        await client.auth.enable()
    async with as_user(own_server.url, "root") as client:
        yield client


async def test_a_user_does_what_its_roles_permit_and_nothing_else(
    root: Client, own_server: KVProcess
) -> None:
    async with as_user(own_server.url, "alice") as alice:
        await alice.put("/a/1", "x")
        assert (await alice.get_prefix("/a/")).count == 1
        for denied in (alice.get("/b"), alice.put("/b", "x"), alice.get_all(), alice.auth.users()):
            with pytest.raises(PermissionDeniedError):
                await denied
        with pytest.raises(PermissionDeniedError):
            async with alice.watch("/b") as watch:
                await anext(watch)
    assert await root.get("/b") is None


async def test_without_a_user_one_is_told_to_give_one(root: Client, own_server: KVProcess) -> None:
    async with client_of(own_server) as nobody:
        with pytest.raises(InvalidRequestError, match="user name is empty") as caught:
            await nobody.get("/a/1")
        assert "give a user and a password" in (caught.value.hint or "")


async def test_a_wrong_password_is_an_error_of_its_own_and_not_tried_again(
    root: Client, own_server: KVProcess
) -> None:
    async with as_user(own_server.url, "alice", "wrong", timeout_seconds=20) as mallory:
        async with asyncio.timeout(10):
            with pytest.raises(AuthenticationError) as caught:
                await mallory.get("/a/1")
        assert isinstance(caught.value, AuthError)
        with pytest.raises(AuthenticationError):
            async with mallory.watch("/a/1"):
                pass


async def test_a_token_that_ended_is_renewed_without_anybody_noticing(
    root: Client, own_server: KVProcess
) -> None:
    async with as_user(own_server.url, "alice") as alice:
        await alice.put("/a/1", "x")
        # Which ends the tokens of that user.
        await root.auth.change_password("alice", "pass")
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(alice.put(f"/a/{number}", "y"))
        assert (await alice.get_prefix("/a/")).count == 20


async def test_roles_that_change_under_a_user_are_followed(
    root: Client, own_server: KVProcess
) -> None:
    async with as_user(own_server.url, "alice") as alice:
        for number in range(10):
            await root.auth.grant("a", Access.WRITE, f"/b/{number}")
            await alice.put(f"/b/{number}", "x")
        await root.auth.revoke("a", "/b/0")
        with pytest.raises(PermissionDeniedError):
            await alice.put("/b/0", "y")


async def test_a_server_that_restarted_knows_no_token_and_gives_another(
    root: Client, own_server: KVProcess
) -> None:
    async with as_user(own_server.url, "alice", timeout_seconds=20) as alice:
        await alice.put("/a/1", "x")
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.start)
        await alice.put("/a/1", "y")
        assert (await root.get("/a/1")).value == b"y"  # type: ignore[union-attr]


async def test_a_watch_whose_token_ended_resumes_without_a_gap(
    root: Client, own_server: KVProcess
) -> None:
    async with (
        relay_to(own_server.port) as relay,
        as_user(relay.url, "alice") as alice,
        alice.watch_prefix("/a/") as watch,
    ):
        for number in range(5):
            await root.auth.change_password("alice", "pass")
            relay.cut()
            await root.put(f"/a/{number}", str(number))
            relay.mend()
            async with asyncio.timeout(20):
                batch = await anext(watch)
            assert [event.kv.key for event in batch.events] == [f"/a/{number}".encode()]


async def test_a_watch_that_is_not_permitted_any_more_ends_with_that(
    root: Client, own_server: KVProcess
) -> None:
    async with (
        relay_to(own_server.port) as relay,
        as_user(relay.url, "alice") as alice,
        alice.watch_prefix("/a/") as watch,
    ):
        await root.auth.revoke_role("alice", "a")
        relay.cut()
        relay.mend()
        async with asyncio.timeout(20):
            with pytest.raises(PermissionDeniedError):
                await anext(watch)


async def test_in_a_group_the_watch_that_is_not_permitted_ends_alone(
    root: Client, own_server: KVProcess
) -> None:
    async with as_user(own_server.url, "alice") as alice, alice.watch_group() as group:
        mine = await group.add_prefix("/a/", start_revision=1)
        await group.add("/b", start_revision=1)
        await root.put("/a/1", "x")
        async with asyncio.timeout(20):
            outcomes = [await outcome(group) for _ in range(2)]
        assert sorted(outcomes) == ["/a/ changed", "/b ended: PermissionDeniedError"]
        assert len(group) == 1
        await root.put("/a/2", "x")
        async with asyncio.timeout(20):
            watched, _ = await anext(group)
        assert watched is mine


async def outcome(group: WatchGroup) -> str:
    """Return what happened to which watch of *group*."""
    try:
        watched, _ = await anext(group)
    except WatchEndedError as ended:
        kind = type(ended.reason).__name__
        return f"{ended.watched.key.decode()} ended: {kind}"
    return f"{watched.key.decode()} changed"


async def test_a_held_lease_lives_on_when_its_token_ends(
    root: Client, own_server: KVProcess
) -> None:
    async with as_user(own_server.url, "alice") as alice, alice.held_lease(6) as lease:
        await alice.put("/a/lease", "x", lease=lease.id)
        for _ in range(2):
            await root.auth.change_password("alice", "pass")
            await renewed(lease)
        assert not lease.lost.is_set()
        assert await alice.get("/a/lease") is not None


async def test_where_nobody_is_asked_a_user_may_be_given_all_the_same(
    own_server: KVProcess,
) -> None:
    async with client_of(own_server) as plain:
        async with as_user(own_server.url, "root") as early:
            await early.put("/a", "before")
            await plain.auth.add_user("root", "pass")
            await plain.auth.add_role("root")
            await plain.auth.grant_role("root", "root")
            await plain.auth.enable()
            await early.put("/a", "after")
            await early.auth.disable()
            await early.put("/a", "again")
        found = await plain.get("/a")
    assert found is not None
    assert found.value == b"again"


async def test_permissions_are_read_as_they_were_granted(own_server: KVProcess) -> None:
    async with client_of(own_server) as client:
        await client.auth.add_role("r")
        await client.auth.grant_prefix("r", Access.READ, "/p/")
        await client.auth.grant("r", Access.WRITE, "/k")
        await client.auth.grant_prefix("r", Access.READWRITE, "")
        assert sorted(await client.auth.permissions("r"), key=lambda found: found.key) == [
            Permission(access=Access.READWRITE, key=b"\0", range_end=b"\0"),
            Permission(access=Access.WRITE, key=b"/k"),
            Permission(access=Access.READ, key=b"/p/", range_end=b"/p0"),
        ]
        with pytest.raises(KVError, match="role name already exists"):
            await client.auth.add_role("r")
        with pytest.raises(KVError, match="user name not found"):
            await client.auth.user_roles("nobody")
        with pytest.raises(KVError, match="root user does not exist"):
            await client.auth.enable()
