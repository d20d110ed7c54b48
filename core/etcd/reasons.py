"""Which of several endpoints' failures tells a person most.

When two of three members are gone, requests fail in turn with "cannot reach" and "no leader". Only
the last says that the KV was reached and why it does not serve, so it is told until every endpoint
has failed since without an answer.
"""

from c101.core.errors import (
    AuthError,
    C101Error,
    DeadlineExceededError,
    HostKeyError,
    LinkError,
)
from c101.core.etcd.errors import UnavailableError


class Reasons:
    """The failures of one request, or of one stream, over its endpoints."""

    __slots__ = ("_answer", "_silent")

    def __init__(self) -> None:
        self._answer: UnavailableError | None = None
        self._silent = 0

    def hear(self, failure: C101Error, *, endpoints: int) -> C101Error:
        """Return what is to be told after *failure*, the latest, where there are so many endpoints.

        It is *failure* itself unless that is a link which failed and another endpoint answered.
        """
        if isinstance(failure, UnavailableError):
            self._answer, self._silent = failure, 0
        elif isinstance(failure, LinkError | DeadlineExceededError) and not isinstance(
            failure, AuthError | HostKeyError
        ):
            self._silent += 1
            if self._answer is not None and self._silent < endpoints:
                return self._answer
        return failure

    def forget(self) -> None:
        """Begin anew: an endpoint serves."""
        self._answer, self._silent = None, 0
