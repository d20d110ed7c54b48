"""Each of the nine finds its violation in a recording that is good but for that."""

from collections.abc import Callable

import pytest

from c101.core.proto import kv_pb2, rpc_pb2
from tests.linearizability.replay import Event, Replay, ReplayError, Stored
from tests.linearizability.validators import VALIDATORS, Recording, Response, violations

_Create = rpc_pb2.WatchCreateRequest


def put(revision: int, key: bytes, create: int, version: int) -> Event:
    return Event(revision, key, Stored(b"v%d" % revision, create, revision, version, 0))


#: Puts, a deletion, a transaction of two keys at 6, and a key created again.
HISTORY = Replay(
    [
        put(2, b"a", 2, 1),
        put(3, b"b", 3, 1),
        put(4, b"a", 2, 2),
        Event(5, b"a", None),
        put(6, b"a", 6, 1),
        put(6, b"b", 3, 2),
        put(7, b"c", 7, 1),
        put(8, b"a", 6, 2),
    ]
)


def key_value(event: Event) -> kv_pb2.KeyValue:
    if event.stored is None:
        return kv_pb2.KeyValue(key=event.key, mod_revision=event.revision)
    return kv_pb2.KeyValue(
        key=event.key,
        value=event.stored.value,
        create_revision=event.stored.create_revision,
        mod_revision=event.stored.mod_revision,
        version=event.stored.version,
        lease=event.stored.lease,
    )


def message(event: Event, *, prev: bool) -> kv_pb2.Event:
    made = kv_pb2.Event(kv=key_value(event))
    if event.stored is None:
        made.type = kv_pb2.Event.DELETE
    before = HISTORY.stored_at(event.key, event.revision - 1)
    if prev and before is not None:
        made.prev_kv.CopyFrom(key_value(Event(0, event.key, before)))
    return made


def response(revision: int, *events: kv_pb2.Event, **options: bool) -> Response:
    header = rpc_pb2.ResponseHeader(revision=revision)
    return Response(header=header, events=events, **options)  # type: ignore[arg-type]


def recording(start: int = 2, **options: object) -> Recording:
    """Record all that a good server sends of HISTORY, with a bookmark before the end."""
    request = _Create(key=b"a", range_end=b"c", start_revision=start, **options)  # type: ignore[arg-type]
    made = Recording(request=request, responses=[response(1, created=True)])
    for revision in range(start, HISTORY.revision + 1):
        events = [
            message(event, prev=request.prev_kv)
            for event in HISTORY.between(revision, revision)
            if made.wants(event)
        ]
        if events:
            made.responses.append(response(revision, *events))
        if revision == 7:
            made.responses.append(response(7))
    return made


def at(made: Recording, revision: int) -> Response:
    """Return the response with the events of *revision*."""
    return next(
        one for one in made.responses if one.events and one.events[0].kv.mod_revision == revision
    )


def remove(revision: int) -> Callable[[Recording], None]:
    return lambda made: made.responses.remove(at(made, revision))


def swap_two(made: Recording) -> None:
    first, second = (made.responses.index(at(made, revision)) for revision in (3, 4))
    responses = made.responses
    responses[first], responses[second] = responses[second], responses[first]


def repeat(made: Recording) -> None:
    made.responses.insert(made.responses.index(at(made, 4)), at(made, 4))


def split(made: Recording) -> None:
    whole = at(made, 6)
    parts = [response(6, event) for event in whole.events]
    place = made.responses.index(whole)
    made.responses[place : place + 1] = parts


def stray(made: Recording) -> None:
    at(made, 6).events.append(message(put(6, b"x", 6, 1), prev=False))


def invented(made: Recording) -> None:
    at(made, 4).events[0].kv.value = b"never written"


def early_bookmark(made: Recording) -> None:
    made.responses.insert(made.responses.index(at(made, 6)), response(6))


def late_bookmark(made: Recording) -> None:
    made.responses.append(response(3))


def wrong_end(made: Recording) -> None:
    made.responses.append(response(0, canceled=True))
    made.responses[-1].compact_revision = 8


def no_prev_kv(made: Recording) -> None:
    at(made, 4).events[0].ClearField("prev_kv")


def later_prev_kv(made: Recording) -> None:
    at(made, 8).events[0].prev_kv.version += 1


def created_again(made: Recording) -> None:
    at(made, 4).events[0].kv.create_revision = 4


PLANTED: list[tuple[str, str, Callable[[Recording], None]]] = [
    ("filtered", "a key that is not watched", stray),
    ("ordered", "two revisions the other way round", swap_two),
    ("unique", "an event that comes twice", repeat),
    ("atomic", "a revision in two responses", split),
    ("reliable", "an event left out", remove(4)),
    ("reliable", "an event that never happened", invented),
    ("resumable", "a beginning that is too late", remove(2)),
    ("resumable", "an end by a compaction of what was seen", wrong_end),
    ("bookmarkable", "a bookmark ahead of an event", early_bookmark),
    ("bookmarkable", "a bookmark that goes back", late_bookmark),
    ("prev_kv", "a prev_kv left out", no_prev_kv),
    ("prev_kv", "a prev_kv that never was", later_prev_kv),
    ("is_create", "a change told as a creation", created_again),
]


@pytest.mark.parametrize(
    ("name", "damage"),
    [pytest.param(name, damage, id=f"{name}: {words}") for name, words, damage in PLANTED],
)
def test_a_planted_violation_is_found_by_its_validator(
    name: str, damage: Callable[[Recording], None]
) -> None:
    made = recording(prev_kv=True)
    assert violations(made, HISTORY) == []
    damage(made)
    found = violations(made, HISTORY)
    assert any(one.startswith(name + ":") for one in found), found


def test_every_validator_has_a_planted_violation() -> None:
    assert {name for name, _, _ in PLANTED} == {one.__name__ for one in VALIDATORS}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"prev_kv": True},
        {"filters": [_Create.NOPUT]},
        {"filters": [_Create.NODELETE]},
        {"start": 5},
        {"start": 6, "prev_kv": True},
    ],
)
def test_what_a_good_server_sends_violates_nothing(options: dict[str, object]) -> None:
    assert violations(recording(**options), HISTORY) == []  # type: ignore[arg-type]


def test_fragments_are_allowed_only_to_those_who_asked() -> None:
    for asked in (True, False):
        made = recording(fragment=asked)
        whole = at(made, 6)
        place = made.responses.index(whole)
        first, second = whole.events
        made.responses[place : place + 1] = [
            response(6, first, fragment=True),
            response(6, second),
        ]
        found = violations(made, HISTORY)
        assert bool(found) != asked
        assert all(one.startswith("atomic") for one in found)


def test_a_recording_that_was_cut_off_owes_nothing_later() -> None:
    made = recording(fragment=True)
    place = made.responses.index(at(made, 6))
    first = at(made, 6).events[0]
    made.responses[place:] = [response(6, first, fragment=True)]
    assert violations(made, HISTORY) == []


def test_a_prev_kv_that_a_compaction_took_may_be_missing() -> None:
    made = recording(prev_kv=True)
    no_prev_kv(made)
    made.compacted = 4
    assert violations(made, HISTORY) == []
    made.compacted = 3
    assert violations(made, HISTORY)


@pytest.mark.parametrize(
    "events",
    [
        [put(3, b"a", 3, 1)],
        [put(2, b"a", 2, 1), put(4, b"a", 2, 2)],
        [put(2, b"a", 2, 1), put(3, b"a", 2, 3)],
        [put(2, b"a", 2, 1), put(3, b"a", 3, 1)],
        [Event(2, b"a", None)],
        [put(2, b"a", 2, 1), put(2, b"a", 2, 1)],
        [put(2, b"a", 2, 1), put(3, b"a", 2, 2), put(2, b"b", 2, 1)],
    ],
    ids=[
        "revision 2 is missing", "revision 3 is missing", "a version is left out",
        "created twice", "a deletion of nothing", "an event twice", "a revision goes back",
    ],
)  # fmt: skip
def test_a_history_that_cannot_be_is_refused(events: list[Event]) -> None:
    with pytest.raises(ReplayError):
        Replay(events)
