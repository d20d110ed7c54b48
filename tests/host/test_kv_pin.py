"""Which KV a machine obeys."""

from pathlib import Path

import pytest

from c101.agents.host import kv_pin
from c101.agents.host.kv_pin import ForeignKVError, KVPin

PIN = KVPin(cluster_id=0xABC, revision=40)


def test_the_first_kv_is_accepted() -> None:
    assert kv_pin.verify(None, cluster_id=1, revision=1) == ""


@pytest.mark.parametrize("revision", [40, 41, 10_000])
def test_the_pinned_kv_is_accepted_where_it_was_or_later(revision: int) -> None:
    assert kv_pin.verify(PIN, cluster_id=0xABC, revision=revision) == ""


def test_another_kv_is_refused_by_both_ids() -> None:
    refusal = kv_pin.verify(PIN, cluster_id=0xDEF, revision=50)
    assert "def" in refusal
    assert "abc" in refusal


def test_a_kv_that_went_back_is_refused_by_both_revisions() -> None:
    refusal = kv_pin.verify(PIN, cluster_id=0xABC, revision=39)
    assert "39" in refusal
    assert "40" in refusal


def test_a_pin_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    assert kv_pin.load(path) is None
    kv_pin.store(path, PIN)
    assert kv_pin.load(path) == PIN


def test_a_damaged_pin_accepts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    path.write_text('{"cluster_id": "many"}')
    with pytest.raises(ForeignKVError) as caught:
        kv_pin.load(path)
    assert caught.value.hint is not None
