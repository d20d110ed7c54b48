"""What may be asked again: the table, and what follows from it."""

from pathlib import Path

import pytest

from c101.core.errors import C101Error, DeadlineExceededError, LinkError, LinkLostError
from c101.core.etcd.errors import AuthenticationError
from c101.core.etcd.retry import BY_TEXT, Fate, rule
from c101.core.rpc.client_call import NotProcessedError
from c101.core.rpc.status import CallLostError, Code, RpcError

CASES: dict[str, tuple[C101Error, Fate]] = {
    "a member without a leader looked at nothing": (
        RpcError(Code.UNAVAILABLE, "etcdserver: no leader"),
        Fate.NOT_APPLIED,
    ),
    "a proposal that timed out may be committed later": (
        RpcError(Code.UNAVAILABLE, "etcdserver: request timed out"),
        Fate.UNKNOWN,
    ),
    "a proposal under a leader that fell may be committed by the next": (
        RpcError(
            Code.UNAVAILABLE,
            "etcdserver: request timed out, possibly due to previous leader failure",
        ),
        Fate.UNKNOWN,
    ),
    "a leader that changed says nothing of what was proposed": (
        RpcError(Code.UNAVAILABLE, "etcdserver: leader changed"),
        Fate.UNKNOWN,
    ),
    "a server that stops may have proposed": (
        RpcError(Code.UNAVAILABLE, "etcdserver: server stopped"),
        Fate.UNKNOWN,
    ),
    "a refusal by a proxy is not etcd's word": (
        RpcError(Code.UNAVAILABLE, "unexpected HTTP status 503"),
        Fate.UNKNOWN,
    ),
    "a proposal that raft dropped is nowhere": (
        RpcError(Code.UNKNOWN, "raft proposal dropped"),
        Fate.NOT_APPLIED,
    ),
    "members change only in a cluster that is well, and are asked for again": (
        RpcError(Code.UNAVAILABLE, "etcdserver: unhealthy cluster"),
        Fate.NOT_APPLIED,
    ),
    "a full queue refuses before it takes": (
        RpcError(Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests"),
        Fate.NOT_APPLIED,
    ),
    "a full disk would be full for the next attempt, too": (
        RpcError(Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded"),
        Fate.FINAL,
    ),
    "an expired token is checked first": (
        RpcError(Code.UNAUTHENTICATED, "etcdserver: invalid auth token"),
        Fate.TOKEN_REFUSED,
    ),
    "a token of before a change of roles applies nothing": (
        RpcError(Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old"),
        Fate.TOKEN_REFUSED,
    ),
    "a wrong password stays wrong": (AuthenticationError("no"), Fate.FINAL),
    "an empty key stays empty": (
        RpcError(Code.INVALID_ARGUMENT, "etcdserver: key is not provided"),
        Fate.FINAL,
    ),
    "a refused stream was not looked at": (NotProcessedError("REFUSED_STREAM"), Fate.NOT_APPLIED),
    "a link that broke before the request left": (
        CallLostError("a", "reset", maybe_sent=False),
        Fate.NOT_APPLIED,
    ),
    "a link that broke behind the request": (
        CallLostError("a", "reset", maybe_sent=True),
        Fate.UNKNOWN,
    ),
    "a stream that ended without an answer": (LinkLostError("a"), Fate.UNKNOWN),
    "no link at all": (LinkError("cannot reach a"), Fate.NOT_APPLIED),
    "silence": (DeadlineExceededError("a"), Fate.UNKNOWN),
    "silence that the server speaks of": (
        RpcError(Code.DEADLINE_EXCEEDED, "context deadline exceeded"),
        Fate.UNKNOWN,
    ),
    "silence that etcd 3.4 has no status for": (
        RpcError(Code.UNKNOWN, "context deadline exceeded"),
        Fate.UNKNOWN,
    ),
}


@pytest.mark.parametrize(("failure", "fate"), CASES.values(), ids=CASES)
def test_what_became_of_a_request(failure: C101Error, fate: Fate) -> None:
    assert rule(failure).fate is fate


def test_every_rule_gives_its_reason() -> None:
    assert all(len(found.reason) > 20 for found in BY_TEXT.values())
    assert all(rule(failure).reason for failure, _ in CASES.values())


def test_the_page_on_the_client_names_every_answer_after_which_a_write_is_made_again() -> None:
    page = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
    again = [text for (_, text), found in BY_TEXT.items() if found.fate is not Fate.UNKNOWN]
    assert [text for text in again if f"`{text}`" not in page] == []
