"""Delays between attempts."""

from c101.core.etcd.backoff import DELAY_SECONDS_MAX, Backoff


def test_delays_double_up_to_the_maximum() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.next() for _ in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_jitter_takes_off_up_to_a_half() -> None:
    backoff = Backoff(jitter=lambda: 0.0)
    delays = [backoff.next() for _ in range(10)]
    assert delays[0] == 0.025
    assert delays[-1] == DELAY_SECONDS_MAX / 2


def test_after_a_success_delays_begin_small_again() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() == 0.05
