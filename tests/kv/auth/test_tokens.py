"""Tokens end when nobody uses them, and are bounded."""

import re

import pytest

from c101.core.kv.auth import tokens as module
from c101.core.kv.auth.tokens import TOKEN_TTL_SECONDS, Tokens
from tests.fakes.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tokens(clock: FakeClock) -> Tokens:
    return Tokens(clock)


def test_a_token_is_sixteen_letters_a_dot_and_a_number(tokens: Tokens) -> None:
    made = [tokens.assign("u") for _ in range(50)]
    assert all(re.fullmatch(r"[A-Za-z]{16}\.[0-9]+", token) for token in made)
    assert len(set(made)) == 50


async def test_a_token_ends_when_it_is_not_used_for_its_time(
    tokens: Tokens, clock: FakeClock
) -> None:
    token = tokens.assign("u")
    await clock.advance(TOKEN_TTL_SECONDS - 1)
    assert tokens.user_of(token) == "u"
    await clock.advance(TOKEN_TTL_SECONDS)
    assert tokens.user_of(token) is None
    assert len(tokens) == 0


async def test_use_lets_a_token_last_its_whole_time_again(tokens: Tokens, clock: FakeClock) -> None:
    used, unused = tokens.assign("u"), tokens.assign("u")
    for _ in range(5):
        await clock.advance(TOKEN_TTL_SECONDS * 0.9)
        assert tokens.user_of(used) == "u"
    assert tokens.user_of(unused) is None


def test_to_log_a_user_out_ends_their_tokens_and_no_others(tokens: Tokens) -> None:
    mine, also_mine, other = (tokens.assign(user) for user in ("me", "me", "other"))
    tokens.log_out("me")
    assert tokens.user_of(mine) is None
    assert tokens.user_of(also_mine) is None
    assert tokens.user_of(other) == "other"


def test_with_one_too_many_the_longest_unused_ends(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOKENS_MAX", 3)
    first, second, third = (tokens.assign("u") for _ in range(3))
    assert tokens.user_of(first) == "u"
    tokens.assign("u")
    assert len(tokens) == 3
    assert tokens.user_of(second) is None
    assert tokens.user_of(first) == tokens.user_of(third) == "u"


@pytest.mark.parametrize("guess", ["", ".", "x", "x.1", "a" * 16 + ".1", "..", "ä.1"])
def test_what_was_never_given_is_nobodys(tokens: Tokens, guess: str) -> None:
    tokens.assign("u")
    assert tokens.user_of(guess) is None
