"""The worked example of ``key_index``, row by row."""

from array import array

import pytest

from c101.core.kv import key_index
from c101.core.kv.revision import TOMBSTONE, bound, change_id, revision_of


def ids(*revisions: int) -> list[int]:
    """Return change ids; a negative revision is a deletion."""
    return [change_id(abs(one), 0, tombstone=one < 0) for one in revisions]


def shown(history: key_index.History | None) -> list[int]:
    """Return revisions, negative for a deletion."""
    if history is None:
        return []
    changes = [history] if isinstance(history, int) else history
    return [-revision_of(one) if one & TOMBSTONE else revision_of(one) for one in changes]


EXAMPLE = (2, 4, -6, 9)


def test_a_history_grows_from_nothing_to_a_number_to_an_array() -> None:
    history = key_index.append(None, ids(2)[0])
    assert isinstance(history, int)
    for change in ids(*EXAMPLE[1:]):
        history = key_index.append(history, change)
    assert isinstance(history, array)
    assert shown(history) == list(EXAMPLE)


@pytest.mark.parametrize(("revision", "found"), [(1, 0), (2, 2), (5, 4), (7, -6), (9, 9), (50, 9)])
def test_the_newest_change_before_a_bound_is_found(revision: int, found: int) -> None:
    change = key_index.newest_before(array("q", ids(*EXAMPLE)), bound(revision))
    assert shown(change) == ([found] if found else [])


@pytest.mark.parametrize(
    ("revision", "kept"),
    [
        (1, [2, 4, -6, 9]),
        (3, [2, 4, -6, 9]),
        (4, [4, -6, 9]),
        (6, [-6, 9]),
        (7, [9]),
        (9, [9]),
        (20, [9]),
    ],
)
def test_a_compaction_keeps_what_can_still_be_asked_for(revision: int, kept: list[int]) -> None:
    history, dropped = key_index.compact(array("q", ids(*EXAMPLE)), revision)
    assert shown(history) == kept
    assert sorted(dropped + ids(*kept)) == ids(*EXAMPLE)


def test_a_key_deleted_before_the_compact_revision_is_forgotten() -> None:
    history, dropped = key_index.compact(array("q", ids(2, -3)), 4)
    assert history is None
    assert dropped == ids(2, -3)
