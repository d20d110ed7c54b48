from collections.abc import Iterator

import pytest

from tests.kvserver.auth.pair import Session
from tests.kvserver.processes import Etcd, Ours


@pytest.fixture(scope="module")
def both(ours: Ours, etcd: Etcd) -> Iterator[tuple[Session, Session]]:
    """Ours and a real etcd, with auth off and nobody known."""
    sessions = Session(ours.client()), Session(etcd.client())
    yield sessions
    for session in sessions:
        session.client.close()


@pytest.fixture
def pair(both: tuple[Session, Session]) -> tuple[Session, Session]:
    """The same, wiped of what a test before left."""
    for session in both:
        session.wipe()
    return both
