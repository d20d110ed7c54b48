"""Records: strict both ways, and the place of a fault is named."""

import pytest

from c101.core.model.machine import MachineIntent
from c101.core.model.unit import TargetState
from c101.core.registry import records
from c101.core.registry.records import RecordError
from tests.registry.cluster_keys import placement, presence, record, state


def test_what_is_encoded_is_read_back_the_same() -> None:
    intent = MachineIntent(id="m1", cordoned=True, metadata={"disk": "ssd", "zone": ""})
    assert records.placement("k", records.encode(placement())) == placement()
    assert records.machine_record("k", records.encode(record()), "m1") == record()
    assert records.machine_presence("k", records.encode(presence()), "m1") == presence()
    assert records.machine_intent("k", records.encode(intent), "m1") == intent
    assert records.unit_state("k", records.encode(state()), "web.service", "m1") == state()
    assert records.time("k", records.encode_time(1_795_459_327.25)) == 1_795_459_327.25


def test_an_object_is_json_with_the_models_field_names() -> None:
    assert records.encode(placement()) == (
        b'{"machine_id":"m1","reason":"least loaded","since":12.25}'
    )


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        (b"{", "$", "Input data was truncated"),
        (b"[]", "$", "Expected object, got array"),
        (b"\xff", "$", "JSON is malformed: invalid character (byte 0)"),
        (b'{"machine_id":1,"reason":"","since":0}', "$.machine_id", "Expected str, got int"),
        (b'{"machine_id":"m","reason":"","since":"0"}', "$.since", "Expected float, got str"),
        (b'{"machine_id":"m"}', "$", "Object missing required field reason"),
    ],
)
def test_a_damaged_placement_is_refused_and_the_place_is_named(
    value: bytes, path: str, reason: str
) -> None:
    with pytest.raises(RecordError) as caught:
        records.placement("units/web.service/placement", value)
    assert (caught.value.path, caught.value.reason) == (path, reason)
    assert str(caught.value) == f"units/web.service/placement: {path}: {reason}"


def test_a_field_not_known_here_is_left_alone() -> None:
    value = b'{"machine_id":"m","reason":"r","since":1,"score":0.5}'
    assert records.placement("k", value).machine_id == "m"


def test_a_record_under_the_key_of_another_is_refused() -> None:
    with pytest.raises(RecordError, match=r"\$\.id: Expected 'm2' as in the key, got 'm1'"):
        records.machine_presence("machines/m2/presence", records.encode(presence("m1")), "m2")
    with pytest.raises(RecordError, match=r"\$\.unit"):
        records.unit_state("k", records.encode(state()), "lb.service", "m1")


def test_a_target_is_one_of_three_words() -> None:
    assert records.target("k", b"launched") is TargetState.LAUNCHED
    with pytest.raises(RecordError, match="inactive, loaded, launched, got 'running'"):
        records.target("k", b"running")


@pytest.mark.parametrize("value", [b"soon", b"nan", b"inf", b"", b"\xff", b"1" * 300])
def test_a_time_that_is_none_is_refused(value: bytes) -> None:
    with pytest.raises(RecordError):
        records.time("k", value)


def test_a_damaged_unit_file_names_the_line() -> None:
    with pytest.raises(RecordError) as caught:
        records.unit_file("units/a.service/file", b"[Service]\nnonsense\n", "a.service")
    assert caught.value.path == "line 2"
