"""The smaller models: keys and values, arrangement, command log, keymap."""

import pytest

from c101.core.errors import ConfigError
from c101.tui.actions.table import ACTIONS
from c101.tui.keymap import KeyClaim, build, label
from c101.tui.store.arrangement import ALL, Mode, Wish, arrange
from c101.tui.store.command_log import CommandLog, Outcome
from c101.tui.store.keys import KeysModel, kind_of, lines_of, record
from tests.fakes import sample_cluster as sample


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"", "empty"),
        (b"db1", "text"),
        ("blå".encode(), "text"),
        (b'{"a": 1}', "json"),
        (b"{not json", "text"),
        (b"\x00\x01", "binary"),
        (b"\xff\xfe", "binary"),
    ],
)
def test_a_value_is_what_it_looks_like(value: bytes, kind: str) -> None:
    assert kind_of(value) == kind


def test_json_is_indented_and_bytes_are_dumped() -> None:
    assert lines_of(b'{"a":1}') == ["{", '  "a": 1', "}"]
    assert lines_of(b"\x00A") == ["000000  00 41                                            .A"]


def test_a_new_picture_drops_what_is_not_in_it() -> None:
    keys = KeysModel()
    a, b = (record(path, sample.key(path, "x", 1)) for path in ("/a", "/b"))
    keys.apply([a, b], (), 1)
    delta = keys.replace([b], 2)
    assert (delta.put, delta.deleted) == (frozenset(), frozenset({"/a"}))
    assert list(keys.records) == ["/b"]


def test_a_key_put_and_deleted_in_one_step_is_gone() -> None:
    keys = KeysModel()
    delta = keys.apply([record("/a", sample.key("/a", "x", 1))], ["/a"], 2)
    assert (delta.put, delta.deleted) == (frozenset(), frozenset({"/a"}))


def test_leases_are_asked_for_once() -> None:
    keys = KeysModel()
    keys.apply([record("/a", sample.key("/a", "x", 1, lease=7))], (), 1)
    assert keys.unknown_leases() == {7}
    keys.lease_seconds[7] = 30
    assert keys.unknown_leases() == set()


@pytest.mark.parametrize(
    ("size", "wish", "mode", "shown", "summaries"),
    [
        ((120, 36), Wish(), Mode.WIDE, ALL, 0),
        ((100, 16), Wish(), Mode.WIDE, ALL, 0),
        ((99, 36), Wish(), Mode.NARROW, {"units", "journal"}, 2),
        ((80, 24), Wish(focused="keys", companion="keys"), Mode.NARROW, {"keys", "journal"}, 2),
        # The journal keeps above it what was above it.
        (
            (80, 24),
            Wish(focused="journal", companion="machines"),
            Mode.NARROW,
            {"machines", "journal"},
            2,
        ),
        ((120, 36), Wish(focused="keys", zoomed=True), Mode.WIDE, {"keys"}, 0),
        ((120, 36), Wish(detail=True), Mode.WIDE, {"units", "keys"}, 0),
        ((80, 24), Wish(detail=True), Mode.NARROW, set(), 0),
        ((59, 24), Wish(), Mode.TINY, set(), 0),
        ((80, 15), Wish(), Mode.TINY, set(), 0),
    ],
)
def test_what_is_shown_follows_from_the_room_there_is(
    size: tuple[int, int], wish: Wish, mode: Mode, shown: set[str], summaries: int
) -> None:
    plan = arrange(*size, wish)
    assert (plan.mode, set(plan.shown), len(plan.summaries)) == (mode, shown, summaries)


def test_a_command_is_noted_when_it_begins_and_when_it_ends() -> None:
    log = CommandLog()
    number = log.begin("c101ctl start web", 10.0)
    assert log.entries[-1].outcome is Outcome.RUNNING
    log.end(number, Outcome.FAILED, "no unit web", 10.5)
    entry = log.entries[-1]
    assert (entry.outcome, entry.result, entry.seconds) == (Outcome.FAILED, "no unit web", 0.5)


def claims() -> list[KeyClaim]:
    return [KeyClaim(action_id=a.id, scopes=a.scopes, keys=a.keys) for a in ACTIONS]


def test_no_two_actions_claim_one_key_in_one_pane() -> None:
    keymap = build(claims(), {})
    assert keymap.find("s", "units") == "units.start"
    assert keymap.find("s", "keys") is None
    assert keymap.find("slash", "keys") == "view.filter"


def test_a_key_can_be_given_to_another_action() -> None:
    keymap = build(claims(), {"units.start": ("S",)})
    assert (keymap.find("S", "units"), keymap.find("s", "units")) == ("units.start", None)


@pytest.mark.parametrize(
    "overrides",
    [{"units.start": ("t",)}, {"units.start": ("ctrl+k",)}, {"units.fly": ("F",)}],
)
def test_a_keymap_that_cannot_work_is_refused(overrides: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ConfigError):
        build(claims(), overrides)


def test_no_action_of_the_table_changes_the_cluster_by_a_control_key() -> None:
    for action in ACTIONS:
        if action.danger.value != "none":
            assert not any(key.startswith("ctrl+") for key in action.keys), action.id


def test_keys_are_written_as_people_read_them() -> None:
    assert [label(key) for key in ("slash", "ctrl+p", "D", "escape")] == ["/", "^p", "D", "esc"]
