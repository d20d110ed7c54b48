"""What a failed attempt says about the request: may it be made again?

A read may always be. A write may be only when it is certain that it was not carried out, since a
put that is made twice can undo what somebody else wrote in between. This table is the whole of
that knowledge; ``attempts`` acts on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from c101.core.errors import C101Error, DeadlineExceededError, LinkError, LinkLostError
from c101.core.etcd.errors import DEADLINE_TEXT, AuthenticationError
from c101.core.rpc.client_call import NotProcessedError
from c101.core.rpc.status import NOT_PASSED_ON_TEXT, CallLostError, Code, RpcError


class Fate(Enum):
    """What became of a request whose attempt failed."""

    NOT_APPLIED = "nothing was done: any request may be made again, elsewhere"
    UNKNOWN = "it may have been done: only what is repeatable may be made again"
    TOKEN_REFUSED = "nothing was done: it may be made again, with another token"  # noqa: S105 - none
    FINAL = "refused: the same request would be refused again"


@dataclass(frozen=True, slots=True)
class Rule:
    """One answer of a server: what became of the request, and how that is known."""

    fate: Fate
    reason: str


#: Answers that are told apart by their exact text (etcd: api/v3rpc/rpctypes/error.go).
BY_TEXT: Final[Mapping[tuple[Code, str], Rule]] = {
    (Code.UNAVAILABLE, "etcdserver: no leader"): Rule(
        Fate.NOT_APPLIED,
        "answered before the request is looked at, since it asked for a leader (``hasleader``)",
    ),
    (Code.UNAVAILABLE, NOT_PASSED_ON_TEXT): Rule(
        Fate.NOT_APPLIED,
        "a front (``kvserver.front``) that has no etcd behind it passed nothing on",
    ),
    (Code.UNKNOWN, "raft proposal dropped"): Rule(
        Fate.NOT_APPLIED, "raft did not take the proposal into its log: leadership is moving"
    ),
    (Code.UNKNOWN, DEADLINE_TEXT): Rule(
        Fate.UNKNOWN, "our time-out passed at the server first: it may have been proposed"
    ),
    (Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests"): Rule(
        Fate.NOT_APPLIED, "refused before it is proposed: too much waits to be applied"
    ),
    (Code.UNAVAILABLE, "etcdserver: unhealthy cluster"): Rule(
        Fate.NOT_APPLIED,
        "refused before it is proposed: members change only while all have been connected for 5 s",
    ),
    (Code.UNAVAILABLE, "etcdserver: rpc not supported for learner"): Rule(
        Fate.NOT_APPLIED, "a learner looks at no request; every other member does"
    ),
    (Code.FAILED_PRECONDITION, "etcdserver: rpc not supported for learner"): Rule(
        Fate.NOT_APPLIED, "a learner looks at no request; every other member does"
    ),
    (Code.UNAUTHENTICATED, "etcdserver: invalid auth token"): Rule(
        Fate.TOKEN_REFUSED, "the token expired, or its user changed; checked before anything else"
    ),
    (Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old"): Rule(
        Fate.TOKEN_REFUSED, "users or roles changed; checked when applying, before any change"
    ),
    (Code.INVALID_ARGUMENT, "etcdserver: user name is empty"): Rule(
        Fate.TOKEN_REFUSED, "authentication was enabled and the request came without a token"
    ),
}

#: Answers whose status says enough.
BY_STATUS: Final[Mapping[Code, Rule]] = {
    Code.UNAVAILABLE: Rule(
        Fate.UNKNOWN,
        "'request timed out', 'leader changed', 'server stopped': proposed, and perhaps committed",
    ),
    Code.DEADLINE_EXCEEDED: Rule(Fate.UNKNOWN, "the server gave up waiting for what it proposed"),
}

#: Attempts that ended without an answer; the first class that fits counts.
_BY_CLASS: Final[tuple[tuple[type[C101Error], Rule], ...]] = (
    (
        AuthenticationError,
        Rule(Fate.FINAL, "user or password is wrong, and would be on every other endpoint"),
    ),
    (
        NotProcessedError,
        Rule(
            Fate.NOT_APPLIED,
            "REFUSED_STREAM, or a GOAWAY below the call: the server did not look at it",
        ),
    ),
    (LinkLostError, Rule(Fate.UNKNOWN, "sent, and the link ended before the answer came")),
    (DeadlineExceededError, Rule(Fate.UNKNOWN, "sent, and no answer came in time")),
    (LinkError, Rule(Fate.NOT_APPLIED, "no link could be had, so nothing was sent")),
)

_NOT_SENT: Final = Rule(Fate.NOT_APPLIED, "the link ended before the request was sent")
_REFUSED: Final = Rule(Fate.FINAL, "an answer: the KV looked at the request and will not do it")


def rule(failure: C101Error) -> Rule:
    """Return what *failure*, of an attempt that had a link, says about the request."""
    if isinstance(failure, CallLostError) and not failure.maybe_sent:
        return _NOT_SENT
    for kind, found in _BY_CLASS:
        if isinstance(failure, kind):
            return found
    if isinstance(failure, RpcError):
        by_text = BY_TEXT.get((failure.status, failure.message))
        return by_text or BY_STATUS.get(failure.status, _REFUSED)
    return _REFUSED
