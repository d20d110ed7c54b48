"""The checker finds what is wrong: small histories by hand, and random ones of a model, damaged."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.linearizability.checker import CheckTookTooLongError, check
from tests.linearizability.history import (
    Call,
    Delete,
    Get,
    Grant,
    Held,
    Outcome,
    Put,
    PutAll,
    ReadAll,
    Request,
    Result,
    Revoke,
    Swap,
    settle,
)
from tests.linearizability.model import RegisterModel, StoreModel, StoreState, by_key, step

SECONDS_MAX = 30.0


def call(
    request: Request,
    began: int,
    ended: int | None,
    revision: int | None = None,
    result: Result = None,
) -> Call:
    """A call that was answered, or one that was cut off when it has no revision."""
    outcome = None if revision is None else Outcome(revision, result)
    return Call(client=0, request=request, began=began, ended=ended, outcome=outcome)


def held(value: str, revision: int, *, create: int = 2, version: int = 1) -> Held:
    return Held("k", value, create, revision, version, 0)


def linearizable(calls: list[Call]) -> bool:
    return check(StoreModel(), StoreState(), calls, seconds_max=SECONDS_MAX).linearizable


def put(
    value: str, began: int, ended: int | None, revision: int | None, before: Held | None = None
) -> Call:
    return call(Put(key="k", value=value), began, ended, revision, before)


def get(began: int, ended: int, revision: int, found: Held | None) -> Call:
    return call(Get(key="k"), began, ended, revision, found)


GOOD = {
    "nothing": [],
    "one after the other": [put("a", 1, 2, 2), get(3, 4, 2, held("a", 2))],
    "a read at once with a write may see it": [put("a", 1, 4, 2), get(2, 3, 2, held("a", 2))],
    "or not": [put("a", 1, 4, 2), get(2, 3, 1, None)],
    "a write cut off that happened": [put("a", 1, None, None), get(2, 3, 2, held("a", 2))],
    "much later": [put("a", 1, None, None), get(2, 3, 1, None), get(4, 5, 2, held("a", 2))],
    "or never": [put("a", 1, None, None), get(2, 3, 1, None), get(4, 5, 1, None)],
    "two at once, in the order that the answers tell": [
        put("a", 1, 4, 3, held("b", 2)),
        put("b", 2, 3, 2),
    ],
    "a lease takes its keys along": [
        call(Grant(lease=7), 1, 2, 1),
        call(Put(key="k", value="a", lease=7), 3, 4, 2),
        call(Revoke(lease=7), 5, 6, 3),
        get(7, 8, 3, None),
    ],
    "a lease that is not there": [
        Call(client=0, request=Put(key="k", value="a", lease=7), began=1, ended=2,
             outcome=Outcome(None, "etcdserver: requested lease not found")),
    ],
    "a transaction is one revision": [
        call(PutAll(keys=("j", "k"), value="a"), 1, 2, 2),
        call(ReadAll(), 3, 4, 2,
             ((Held("j", "a", 2, 2, 1, 0), Held("k", "a", 2, 2, 1, 0)), frozenset())),
    ],
    "what a watch told of a write cut off": [
        Call(client=0, request=Put(key="k", value="a"), began=1, ended=None,
             outcome=Outcome(2, None, known=False)),
        get(2, 3, 2, held("a", 2)),
    ],
}  # fmt: skip

BAD = {
    "a read of what was never written": [get(1, 2, 1, held("a", 2))],
    "an acknowledged write is lost": [put("a", 1, 2, 2), get(3, 4, 1, None)],
    "a revision goes back": [put("a", 1, 2, 2), put("b", 3, 4, 2, held("a", 2))],
    "a revision is left out": [put("a", 1, 2, 3)],
    "a write is undone": [
        put("a", 1, 2, 2),
        put("b", 3, 4, 3, held("a", 2)),
        get(5, 6, 3, held("a", 2)),
    ],
    "a write shows before it was asked for": [get(1, 2, 2, held("a", 2)), put("a", 3, 4, 2)],
    "a write cut off comes and goes": [
        put("a", 1, None, None),
        get(2, 3, 2, held("a", 2)),
        get(4, 5, 2, None),
    ],
    "two swaps of the same": [
        put("a", 1, 2, 2),
        call(Swap(key="k", expected=held("a", 2), value="b"), 3, 6, 3, (True, None)),
        call(Swap(key="k", expected=held("a", 2), value="c"), 4, 5, 4, (True, None)),
    ],
    "half a transaction": [
        call(PutAll(keys=("j", "k"), value="a"), 1, 2, 2),
        get(3, 4, 2, None),
    ],
    "a key outlives its lease": [
        call(Grant(lease=7), 1, 2, 1),
        call(Put(key="k", value="a", lease=7), 3, 4, 2),
        call(Revoke(lease=7), 5, 6, 2),
    ],
    "a deletion that deleted nothing counts": [call(Delete(key="k"), 1, 2, 2)],
    "two reads see two writes in different orders": [
        put("a", 1, 10, 2),
        put("b", 1, 10, 3, held("a", 2)),
        get(2, 3, 3, held("b", 3, version=2)),
        get(4, 5, 3, held("a", 2)),
    ],
    "what a watch told does not fit": [
        Call(client=0, request=Put(key="k", value="a"), began=1, ended=None,
             outcome=Outcome(2, None, known=False)),
        put("b", 2, 3, 2),
        get(4, 5, 2, held("a", 2)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("calls", GOOD.values(), ids=GOOD)
def test_what_has_an_order_is_found_linearizable(calls: list[Call]) -> None:
    assert linearizable(calls)


@pytest.mark.parametrize("calls", BAD.values(), ids=BAD)
def test_what_has_no_order_is_found_out(calls: list[Call]) -> None:
    assert not linearizable(calls)


#: The requests of one key, and then the others.
ONE_KEY, ALL = 6, 8


def random_history(seed: int, count: int, *, kinds: int) -> list[Call]:
    """Return what six clients at once would see of a model that acts at once, within each call."""
    random_ = random.Random(seed)
    state = INITIAL
    calls: list[Call] = []
    # Of each client: its request, when it began, and its outcome once it took effect.
    doing: dict[int, tuple[Request, int, Outcome | None]] = {}
    for tick in range(count * 4):
        client = random_.randrange(6)
        if client not in doing:
            doing[client] = (random_request(random_, f"{tick}", state, kinds), tick, None)
            continue
        request, began, outcome = doing[client]
        if outcome is None:
            state, outcome = step(request, state)
            doing[client] = (request, began, outcome)
        else:
            del doing[client]
            calls.append(
                Call(client=client, request=request, began=began, ended=tick, outcome=outcome)
            )
    for client, (request, began, _) in doing.items():
        calls.append(Call(client=client, request=request, began=began, ended=None, outcome=None))
    return calls


def random_request(random_: random.Random, value: str, state: StoreState, kinds: int) -> Request:
    key = random_.choice("abc")
    match random_.randrange(kinds):
        case 0 | 1:
            lease = random_.choice((0, 0, 1, 2)) if kinds == ALL else 0
            return Put(key=key, value=value, lease=lease)
        case 2 | 3:
            return Get(key=key)
        case 4:
            return Delete(key=key)
        case 5:
            return Swap(key=key, expected=state.get(key), value=value)
        case 6:
            return PutAll(keys=("a", "b"), value=value)
        case _:
            kind = random_.choice((Grant, Revoke))
            return kind(lease=random_.choice((1, 2)))


INITIAL = StoreState(leases=frozenset((1, 2)))


@pytest.mark.parametrize("seed", range(20))
def test_what_a_model_did_is_linearizable_and_a_revision_given_twice_is_found(seed: int) -> None:
    calls = random_history(seed, 60, kinds=ALL)
    assert check(StoreModel(), INITIAL, calls, seconds_max=SECONDS_MAX).linearizable
    writes = [
        number
        for number, one in enumerate(calls)
        if isinstance(one.request, Put | PutAll) and one.outcome and one.outcome.revision
    ]
    assert len(writes) > 5
    for number, other in pairwise(writes):
        damaged = list(calls)
        mine, theirs = calls[number].outcome, calls[other].outcome
        assert mine is not None
        assert theirs is not None
        damaged[number] = replace(calls[number], outcome=mine._replace(revision=theirs.revision))
        assert not check(StoreModel(), INITIAL, damaged, seconds_max=SECONDS_MAX).linearizable


@pytest.mark.parametrize("seed", range(10))
def test_a_register_is_judged_by_itself_and_without_revisions(seed: int) -> None:
    calls = [
        replace(one, outcome=one.outcome and one.outcome._replace(revision=None))
        for one in random_history(seed, 200, kinds=ONE_KEY)
    ]
    for part in by_key(calls).values():
        assert check(RegisterModel(), "", part, seconds_max=SECONDS_MAX).linearizable
        writes = [one for one in part if isinstance(one.request, Put) and one.outcome]
        reads = [
            number
            for number, one in enumerate(part)
            if isinstance(one.request, Get) and one.outcome and one.outcome.result is not None
        ]
        # The last read sees the first write that is known to have been overwritten before it.
        number = reads[-1]
        stale = Outcome(None, replace_value(part[number], writes[0].request.value))  # type: ignore[union-attr]
        damaged = [*part[:number], replace(part[number], outcome=stale), *part[number + 1 :]]
        assert not check(RegisterModel(), "", damaged, seconds_max=SECONDS_MAX).linearizable


def replace_value(one: Call, value: str) -> Held:
    assert one.outcome is not None
    assert isinstance(one.outcome.result, Held)
    return one.outcome.result._replace(value=value)


def test_a_search_that_takes_too_long_fails_and_does_not_pass() -> None:
    # Writes cut off in any order, and a read that none explains.
    calls = [put(f"{number}", number, None, None) for number in range(20)]
    calls.append(get(30, 31, 21, held("none of them", 21, version=20)))
    with pytest.raises(CheckTookTooLongError, match="21 calls, 1 left"):
        check(StoreModel(), StoreState(), calls, seconds_max=0.3)


def test_the_log_settles_which_writes_cut_off_happened() -> None:
    cut_off = [put(value, 1, None, None) for value in "abc"]
    settled = settle([*cut_off, call(Delete(key="k"), 1, None)], {"b": 2, "z": 3})
    assert [one.request for one in settled] == [Put(key="k", value="b"), Delete(key="k")]
    assert settled[0].outcome == Outcome(2, None, known=False)


def test_a_verdict_says_what_did_not_fit() -> None:
    calls = [put("a", 1, 2, 2), get(3, 4, 2, None)]
    verdict = check(StoreModel(), StoreState(), calls, seconds_max=SECONDS_MAX)
    assert verdict.explained == 1
    assert verdict.stuck == (calls[1],)
    assert "1 calls are explained" in str(verdict)
