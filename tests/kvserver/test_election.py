"""The Election service beside a real etcd, and observers of leaders that change fast."""

import grpc
import pytest

from tests.kvserver.lock_calls import (
    Leader,
    Observer,
    begin_campaign,
    campaign,
    leader,
    proclaim,
    refusal,
    resign,
    until,
)
from tests.kvserver.processes import HAVE_ETCD, Client, Etcd, Ours, Process

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here"),
]


def candidates(client: Client, name: bytes) -> int:
    return client.get(name + b"/", name + b"0", count_only=True).count


def play(process: Process) -> list[object]:
    client = process.client()
    start = client.revision
    seen: list[object] = []

    def stand(value: bytes, lease: int = 0x77, name: bytes = b"e") -> Leader:
        answer = campaign(client, name, lease, value)
        one = answer.leader
        revisions = (answer.header.revision - start, one.rev - start)
        seen.append((one.name, one.key, one.lease, revisions))
        return one

    def look() -> None:
        kv = leader(client, b"e").kv
        seen.append((kv.key, kv.value, kv.version, kv.lease, kv.mod_revision - start))

    seen += [
        refusal(lambda: leader(client, b"e")),
        refusal(lambda: campaign(client, b"e", 999, b"v")),
        candidates(client, b"e"),
    ]
    for lease in (0x77, 0x78):
        client.grant(600, lease)
    stand(b"", name=b"")
    one = stand(b"one")
    stand(b"one")
    look()
    stand(b"two")
    look()
    seen.append(proclaim(client, one, b"three").header.revision - start)
    look()
    stale = Leader(name=b"e", key=one.key, rev=one.rev + 1000, lease=0x77)
    unleased = Leader(name=b"e", key=one.key, rev=one.rev, lease=4242)
    renamed = Leader(name=b"other", key=one.key, rev=one.rev, lease=0x77)
    seen += [
        refusal(lambda: proclaim(client, None, b"q")),
        refusal(lambda: proclaim(client, Leader(), b"q")),
        refusal(lambda: proclaim(client, stale, b"q")),
        refusal(lambda: proclaim(client, unleased, b"q")),
        proclaim(client, renamed, b"renamed").header.revision - start,
    ]
    look()
    # Code and text are the client's or the server's, whoever is first.
    refusal(lambda: campaign(client, b"e", 0x78, b"v", seconds=0.3))
    until(lambda: candidates(client, b"e") == 1)
    seen += [
        refusal(lambda: resign(client, None)),
        refusal(lambda: resign(client, Leader(name=b"e", rev=3))),
        resign(client, stale).header.revision - start,
    ]
    second = begin_campaign(client, b"e", 0x78, b"second")
    until(lambda: candidates(client, b"e") == 2)
    look()
    seen.append(resign(client, one).header.revision - start)
    elected = second.result(10)
    seen.append((elected.leader.key, elected.header.revision - elected.leader.rev))
    look()
    seen += [
        resign(client, one).header.revision - start,
        refusal(lambda: proclaim(client, one, b"late")),
    ]
    resign(client, elected.leader)
    seen.append(refusal(lambda: leader(client, b"e")))
    client.close()
    return seen


def test_elections_go_as_in_a_real_etcd(ours: Ours, etcd: Etcd) -> None:
    assert play(ours) == play(etcd)


@pytest.fixture(params=["ours", "etcd"])
def either(request: pytest.FixtureRequest, ours: Ours, etcd: Etcd) -> Process:
    return ours if request.param == "ours" else etcd


def test_without_a_lease_a_candidate_has_one_of_a_minute(either: Process) -> None:
    client = either.client()
    one = campaign(client, b"minute", 0, b"v").leader
    assert one.key == b"minute/%x" % one.lease
    assert client.time_to_live(one.lease).grantedTTL == 60
    unleased = Leader(name=b"minute", key=one.key, rev=one.rev)
    proclaim(client, unleased, b"other lease")
    kv = leader(client, b"minute").kv
    assert kv.lease not in (0, one.lease)
    client.close()


def test_a_leader_that_is_gone_is_followed_when_its_lease_ends(either: Process) -> None:
    client = either.client()
    client.grant(2, 0x91)
    campaign(client, b"gone", 0x91, b"first")
    client.grant(600, 0x92)
    assert campaign(client, b"gone", 0x92, b"next", seconds=20).leader.key == b"gone/92"
    assert leader(client, b"gone").kv.value == b"next"
    client.close()


def test_a_candidate_that_leaves_takes_its_place_with_it(either: Process) -> None:
    client = either.client()
    for lease in (0xA1, 0xA2, 0xA3):
        client.grant(600, lease)
    one = campaign(client, b"leave", 0xA1, b"1").leader
    second = begin_campaign(client, b"leave", 0xA2, b"2")
    until(lambda: candidates(client, b"leave") == 2)
    third = begin_campaign(client, b"leave", 0xA3, b"3")
    until(lambda: candidates(client, b"leave") == 3)
    second.cancel()
    until(lambda: candidates(client, b"leave") == 2)
    resign(client, one)
    assert third.result(10).leader.key == b"leave/a3"
    client.close()


def test_a_candidate_whose_lease_ended_does_not_lead(client: Client) -> None:
    # etcd would tell it that it does.
    for lease in (0xB1, 0xB2):
        client.grant(600, lease)
    one = campaign(client, b"expired", 0xB1, b"1").leader
    second = begin_campaign(client, b"expired", 0xB2, b"2")
    until(lambda: candidates(client, b"expired") == 2)
    client.revoke(0xB2)
    resign(client, one)
    with pytest.raises(grpc.RpcError) as error:
        second.result(10)
    assert (error.value.code().name, error.value.details()) == ("UNKNOWN", "election: not leader")


def test_observers_from_before_and_after_see_every_value_and_every_leader(either: Process) -> None:
    client, observing = either.client(), either.client()
    early = Observer(observing, b"seen")
    for lease in (0xC1, 0xC2):
        client.grant(600, lease)
    one = campaign(client, b"seen", 0xC1, b"1").leader
    assert early.next() == (b"seen/c1", b"1", one.rev)
    late = Observer(observing, b"seen")
    assert late.next() == (b"seen/c1", b"1", one.rev)
    values = [b"value %d" % number for number in range(200)]
    revisions = [proclaim(client, one, value).header.revision for value in values]
    expected = [(b"seen/c1", *pair) for pair in zip(values, revisions, strict=True)]
    for observer in (early, late):
        assert [observer.next() for _ in values] == expected
    second = begin_campaign(client, b"seen", 0xC2, b"2")
    until(lambda: candidates(client, b"seen") == 2)
    resign(client, one)
    rev = second.result(10).leader.rev
    for observer in (early, late):
        assert observer.next() == (b"seen/c2", b"2", rev)
    client.revoke(0xC2)
    until(lambda: candidates(client, b"seen") == 0)
    third = campaign(client, b"seen", 0xC1, b"3").leader
    for observer in (early, late):
        assert observer.next() == (b"seen/c1", b"3", third.rev)
        observer.close()
    observing.close()
    client.close()


def test_leaders_that_change_fast_are_seen_in_order_and_the_last_one_is_seen(
    client: Client, ours: Ours
) -> None:
    observing = ours.client()
    observer = Observer(observing, b"fast")
    client.grant(600, 0xD1)
    rounds = 100
    one = campaign(client, b"fast", 0xD1, b"0").leader
    for number in range(1, rounds):
        resign(client, one)
        one = campaign(client, b"fast", 0xD1, b"%d" % number).leader
    seen = [observer.next()]
    while seen[-1][1] != b"%d" % (rounds - 1):
        seen.append(observer.next())
    numbers = [int(value) for _, value, _ in seen]
    # A leader that came and went between two looks may be missed; none comes twice or late.
    assert numbers == sorted(set(numbers))
    assert seen[-1][2] == one.rev
    observer.close()
    observing.close()


def test_an_observer_that_reads_nothing_holds_up_nobody_and_is_caught_up(
    client: Client, ours: Ours
) -> None:
    observing = ours.client()
    client.grant(600, 0xE1)
    one = campaign(client, b"slow", 0xE1, b"start").leader
    method = observing.channel.unary_stream("/v3electionpb.Election/Observe")
    call = method(b"\x0a\x04slow")
    # With the first answer the observer is known to be there.
    assert b"start" in next(call)
    value = b"x" * 100_000
    count = 60
    for number in range(count):
        proclaim(client, one, b"%d " % number + value)
    # 6 MB are more than windows and queues on the way hold: now it is read.
    last = b"%d " % (count - 1)
    seen = 0
    for message in call:
        seen += 1
        if message.find(last + b"x") >= 0:
            break
    assert seen == count
    call.cancel()
    observing.close()


def test_a_compaction_does_not_lose_who_campaigns_or_observes(client: Client) -> None:
    # In etcd both end with an error.
    for lease in (0xF1, 0xF2):
        client.grant(600, lease)
    one = campaign(client, b"compact", 0xF1, b"1").leader
    observer = Observer(client, b"compact")
    assert observer.next()[1] == b"1"
    second = begin_campaign(client, b"compact", 0xF2, b"2")
    until(lambda: candidates(client, b"compact") == 2)
    for _ in range(3):
        client.put(b"other")
    client.compact(client.revision, physical=True)
    resign(client, one)
    assert second.result(10).leader.key == b"compact/f2"
    assert observer.next()[1] == b"2"
    observer.close()


def test_a_place_that_is_given_up_as_it_is_taken_is_not_left_behind(client: Client) -> None:
    client.grant(600, 0x101)
    campaign(client, b"race", 0x101, b"holder")
    for number in range(50):
        client.grant(600, 0x2000 + number)
        begun = begin_campaign(client, b"race", 0x2000 + number, b"v")
        begun.cancel()
    # What was sent before this is staged when this is answered.
    client.put(b"fence")
    until(lambda: candidates(client, b"race") == 1)
