"""What a person is told where endpoints fail for different reasons."""

import pytest

from c101.core.errors import AuthError, C101Error, DeadlineExceededError, LinkError
from c101.core.etcd.errors import UnavailableError
from c101.core.etcd.reasons import Reasons

NO_LEADER = UnavailableError("no leader")
GONE = LinkError("cannot reach b")
SILENT = DeadlineExceededError("c did not answer")
REFUSED = AuthError("not allowed to open d")


@pytest.mark.parametrize(
    ("failures", "told"),
    [
        ([GONE], GONE),
        ([GONE, NO_LEADER], NO_LEADER),
        ([NO_LEADER, GONE, SILENT], NO_LEADER),
        # Once around without an answer: whoever said so is gone, too.
        ([NO_LEADER, GONE, SILENT, GONE], GONE),
        ([NO_LEADER, GONE, NO_LEADER, GONE, SILENT], NO_LEADER),
        ([NO_LEADER, REFUSED], REFUSED),
    ],
)
def test_an_answer_is_told_rather_than_a_link_that_fails(
    failures: list[C101Error], told: C101Error
) -> None:
    reasons = Reasons()
    assert [reasons.hear(failure, endpoints=3) for failure in failures][-1] is told


def test_a_single_endpoint_tells_its_latest_failure() -> None:
    reasons = Reasons()
    reasons.hear(NO_LEADER, endpoints=1)
    assert reasons.hear(GONE, endpoints=1) is GONE


def test_what_was_answered_before_a_link_stood_is_not_told_again() -> None:
    reasons = Reasons()
    reasons.hear(NO_LEADER, endpoints=3)
    reasons.forget()
    assert reasons.hear(GONE, endpoints=3) is GONE
