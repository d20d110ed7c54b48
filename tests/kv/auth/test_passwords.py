"""Passwords are hashed as etcd hashes them, off the loop, a bounded number at a time."""

import asyncio
import threading
from collections.abc import AsyncIterator

import bcrypt
import pytest

from c101.core.kv.auth.passwords import WAITING_MAX, Passwords
from c101.core.rpc.status import Code, RpcError


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    one = Passwords()
    yield one
    one.close()


async def test_a_hash_is_of_the_kind_and_cost_of_etcds(passwords: Passwords) -> None:
    hashed = await passwords.hash("secret")
    assert hashed.startswith(b"$2a$10$")
    assert bcrypt.checkpw(b"secret", hashed)
    assert await passwords.matches("secret", hashed)
    assert not await passwords.matches("Secret", hashed)


async def test_bytes_after_the_seventy_second_are_ignored_as_in_etcd(passwords: Passwords) -> None:
    hashed = await passwords.hash("x" * 80)
    assert await passwords.matches("x" * 72, hashed)
    assert await passwords.matches("x" * 72 + "other", hashed)
    assert not await passwords.matches("x" * 71, hashed)


async def test_a_zero_byte_ends_no_password(passwords: Passwords) -> None:
    hashed = await passwords.hash("ab\0cd")
    assert await passwords.matches("ab\0cd", hashed)
    assert not await passwords.matches("ab\0ce", hashed)
    assert not await passwords.matches("ab", hashed)


@pytest.mark.parametrize("kept", [None, b"", b"plain", b"$2a$99$" + b"a" * 53])
async def test_nobody_has_the_password_of_what_is_no_hash(
    passwords: Passwords, kept: bytes | None
) -> None:
    assert not await passwords.matches("", kept)
    assert not await passwords.matches("plain", kept)


async def test_an_empty_password_is_one_like_others(passwords: Passwords) -> None:
    hashed = await passwords.hash("")
    assert await passwords.matches("", hashed)
    assert not await passwords.matches("x", hashed)


async def test_one_too_many_is_refused_and_a_place_is_free_only_when_a_hash_is_done(
    passwords: Passwords,
) -> None:
    done = threading.Event()
    tasks = [asyncio.create_task(passwords._run(done.wait)) for _ in range(WAITING_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(RpcError) as refused:
        await passwords.matches("x", None)
    assert refused.value.status is Code.RESOURCE_EXHAUSTED
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # Those who went away keep their places: else who cancels could queue for ever.
    with pytest.raises(RpcError):
        await passwords.matches("x", None)
    done.set()
    async with asyncio.timeout(20):
        while passwords._waiting:
            await asyncio.sleep(0.01)
    assert await passwords.matches("x", await passwords.hash("x"))
