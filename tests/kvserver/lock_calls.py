"""Calls of the Lock and Election services over a foreign client, and what is compared of them."""

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import grpc

from c101.core.proto import v3election_pb2, v3lock_pb2
from tests.kvserver.processes import CALL_SECONDS, Client

LOCK = "/v3lockpb.Lock/"
ELECTION = "/v3electionpb.Election/"
Leader = v3election_pb2.LeaderKey


def lock(
    client: Client, name: bytes, lease: int = 0, seconds: float = CALL_SECONDS
) -> v3lock_pb2.LockResponse:
    request = v3lock_pb2.LockRequest(name=name, lease=lease)
    return client.call(LOCK + "Lock", request, v3lock_pb2.LockResponse, seconds)


def begin_lock(client: Client, name: bytes, lease: int = 0) -> grpc.Future:
    request = v3lock_pb2.LockRequest(name=name, lease=lease)
    return client.begin(LOCK + "Lock", request, v3lock_pb2.LockResponse)


def unlock(client: Client, key: bytes) -> v3lock_pb2.UnlockResponse:
    request = v3lock_pb2.UnlockRequest(key=key)
    return client.call(LOCK + "Unlock", request, v3lock_pb2.UnlockResponse)


def campaign(
    client: Client, name: bytes, lease: int, value: bytes, seconds: float = CALL_SECONDS
) -> v3election_pb2.CampaignResponse:
    request = v3election_pb2.CampaignRequest(name=name, lease=lease, value=value)
    return client.call(ELECTION + "Campaign", request, v3election_pb2.CampaignResponse, seconds)


def begin_campaign(client: Client, name: bytes, lease: int, value: bytes) -> grpc.Future:
    request = v3election_pb2.CampaignRequest(name=name, lease=lease, value=value)
    return client.begin(ELECTION + "Campaign", request, v3election_pb2.CampaignResponse)


def proclaim(
    client: Client, leader: Leader | None, value: bytes
) -> v3election_pb2.ProclaimResponse:
    request = v3election_pb2.ProclaimRequest(leader=leader, value=value)
    return client.call(ELECTION + "Proclaim", request, v3election_pb2.ProclaimResponse)


def resign(client: Client, leader: Leader | None) -> v3election_pb2.ResignResponse:
    request = v3election_pb2.ResignRequest(leader=leader)
    return client.call(ELECTION + "Resign", request, v3election_pb2.ResignResponse)


def leader(client: Client, name: bytes) -> v3election_pb2.LeaderResponse:
    request = v3election_pb2.LeaderRequest(name=name)
    return client.call(ELECTION + "Leader", request, v3election_pb2.LeaderResponse)


class Observer:
    """An Observe stream, read by a thread; ``next`` is a key, a value and its revision."""

    def __init__(self, client: Client, name: bytes) -> None:
        self.seen: SimpleQueue[v3election_pb2.LeaderResponse] = SimpleQueue()
        method = client.channel.unary_stream(
            ELECTION + "Observe",
            request_serializer=v3election_pb2.LeaderRequest.SerializeToString,
            response_deserializer=v3election_pb2.LeaderResponse.FromString,
        )
        self._call: Iterator[v3election_pb2.LeaderResponse] = method(
            v3election_pb2.LeaderRequest(name=name)
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for response in self._call:
                self.seen.put(response)
        except grpc.RpcError:
            return

    def next(self) -> tuple[bytes, bytes, int]:
        response = self.seen.get(timeout=10)
        assert response.header.revision >= response.kv.mod_revision
        return response.kv.key, response.kv.value, response.kv.mod_revision

    def close(self) -> None:
        self._call.cancel()  # type: ignore[attr-defined]
        self._thread.join()


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    """Return code and text of a call that is refused."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name, error.details()
    raise AssertionError("it was not refused")


def until(holds: Callable[[], bool]) -> None:
    """Wait until *holds*, 20 seconds at most."""
    tick = threading.Event()
    for _ in range(1000):
        if holds():
            return
        tick.wait(0.02)
    raise AssertionError("it never came to hold")
