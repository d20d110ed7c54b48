"""What each role may write: every role against every kind of key, and against ranges."""

import pytest

from c101.core.registry.keyspace import Keyspace
from c101.core.registry.roles import OPERATOR, VIEWER, ReadableKeys, WritableKeys, agent_role

KEYS = {
    "record": "/c101/machines/a1/record",
    "presence": "/c101/machines/a1/presence",
    "others presence": "/c101/machines/b2/presence",
    "intent": "/c101/machines/a1/intent",
    "file": "/c101/units/web@1.service/file",
    "target": "/c101/units/web@1.service/target",
    "restart": "/c101/units/web@1.service/restart",
    "placement": "/c101/units/web@1.service/placement",
    "state": "/c101/states/web@1.service/a1",
    "others state": "/c101/states/web@1.service/b2",
    "destroyed": "/c101/destroyed/web@1.service",
    "leader": "/c101/lease/engine-leader",
    "guard": "/c101/engine/guard",
    "unknown": "/c101/else/what",
    "below": "/c101/states/web@1.service/a1/more",
    "the prefix": "/c101/",
    "the prefix without its slash": "/c101",
    "service": "/services/web/1",
    "before": "/a",
    "after": "/c102",
    "not text": "/c101/states/\udcff/a1",
    "secret": "c101-secrets/c101/token",
}
OUTSIDE = {"the prefix without its slash", "service", "before", "after"}
MAY = {
    VIEWER: set(),
    OPERATOR: {"intent", "target", "restart", *OUTSIDE},
    agent_role("a1"): {"presence", "state", *OUTSIDE},
}


@pytest.mark.parametrize("role", MAY)
@pytest.mark.parametrize("what", KEYS)
def test_a_role_writes_its_own_keys(role: str, what: str) -> None:
    keys = WritableKeys(role, Keyspace())
    covered = keys.covers(KEYS[what].encode("utf-8", "surrogateescape"), b"")
    assert covered == (what in MAY[role])


RANGES = {
    "all": (b"\0", b"\0", False),
    "all from after the prefix, secrets too": (b"/c1010", b"\0", False),
    "all from after the secrets": (b"d", b"\0", True),
    "services": (b"/services/", b"/services0", True),
    "up to the prefix": (b"/a", b"/c101/", True),
    "into the prefix": (b"/a", b"/c101/units/", False),
    "over the prefix": (b"/a", b"/d", False),
    "the prefix": (b"/c101/", b"/c1010", False),
    "the machine's own": (b"/c101/machines/a1/presence", b"/c101/machines/a1/presencf", False),
    "one key as a range": (b"/services/a", b"/services/a\0", True),
}


@pytest.mark.parametrize("what", RANGES)
def test_a_range_is_writable_outside_the_prefix_only(what: str) -> None:
    key, range_end, permitted = RANGES[what]
    for role in (OPERATOR, agent_role("a1")):
        assert WritableKeys(role, Keyspace()).covers(key, range_end) == permitted
    assert not WritableKeys(VIEWER, Keyspace()).covers(key, range_end)


def test_another_prefix_is_another_clusters() -> None:
    keys = WritableKeys(agent_role("a1"), Keyspace("/other/"))
    assert keys.covers(b"/other/machines/a1/presence", b"")
    assert keys.covers(b"/c101/machines/b2/presence", b"")
    assert not keys.covers(b"/other/machines/b2/presence", b"")


def test_a_machine_called_like_a_role_is_no_such_role() -> None:
    keys = WritableKeys(agent_role("operator"), Keyspace())
    assert not keys.covers(KEYS["target"].encode(), b"")


SECRET_RANGES = {
    "all": (b"\0", b"\0", False),
    "all that begins with a slash": (b"/", b"0", True),
    "from a slash on": (b"/", b"\0", False),
    "up to them": (b"/", b"c101-secrets/c101/", True),
    "into them": (b"/", b"c101-secrets/c101/a", False),
    "all of them": (b"c101-secrets/c101/", b"c101-secrets/c1010", False),
    "one as a range": (b"c101-secrets/c101/token", b"c101-secrets/c101/token\0", False),
    "after them": (b"c101-secrets/c1010", b"\0", True),
    "of another cluster": (b"c101-secrets/other/", b"c101-secrets/other0", True),
}


@pytest.mark.parametrize("role", MAY)
@pytest.mark.parametrize("what", SECRET_RANGES)
def test_a_range_with_room_for_a_secret_is_nobodys(role: str, what: str) -> None:
    key, range_end, permitted = SECRET_RANGES[what]
    keys = ReadableKeys(role, Keyspace(), lambda _machine: {"token"})
    assert keys.covers(key, range_end) == permitted
    if not permitted:
        assert not WritableKeys(role, Keyspace()).covers(key, range_end)


def test_a_secret_is_read_by_the_agent_whose_units_name_it() -> None:
    named = {"a1": {"token"}, "b2": {"other", "../x"}}

    def reads(role: str, name: bytes) -> bool:
        keys = ReadableKeys(role, Keyspace(), lambda machine: named.get(machine, set()))
        return keys.covers(b"c101-secrets/c101/" + name, b"")

    assert reads(agent_role("a1"), b"token")
    assert not reads(agent_role("a1"), b"other")
    assert not reads(agent_role("b2"), b"token")
    assert not reads(agent_role("c3"), b"token")
    assert not reads(OPERATOR, b"token")
    assert not reads(VIEWER, b"token")
    for odd in (b"", b"../x", b"token/more", b"\xff"):
        assert not reads(agent_role("b2"), odd)
    assert ReadableKeys(VIEWER, Keyspace(), lambda _: set()).covers(b"/c101/units/a/file", b"")
