"""Real servers, ours and Debian's etcd, and a foreign client (grpcio) that talks to either."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from c101.core.proto import kv_pb2, rpc_pb2

START_SECONDS = 20.0
CALL_SECONDS = 10.0

_M = TypeVar("_M", bound=Message)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Client:
    """Unary calls and streams over grpcio, a client nobody here wrote."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{port}",
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.use_local_subchannel_pool", 1),
            ],
        )

    def call(
        self, path: str, request: Message, response: type[_M], seconds: float = CALL_SECONDS
    ) -> _M:
        """Call a method; a path of no package is etcdserverpb's."""
        answer: _M = self._method(path, request, response)(request, timeout=seconds)
        return answer

    def begin(self, path: str, request: Message, response: type[_M]) -> grpc.Future:
        """Call a method and do not wait for its answer."""
        return self._method(path, request, response).future(request)

    def _method(
        self, path: str, request: Message, response: type[Message]
    ) -> grpc.UnaryUnaryMultiCallable:
        full = path if path.startswith("/") else "/etcdserverpb." + path
        return self.channel.unary_unary(
            full,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )

    def put(self, key: bytes, value: bytes = b"", **options: object) -> rpc_pb2.PutResponse:
        request = rpc_pb2.PutRequest(key=key, value=value, **options)  # type: ignore[arg-type]
        return self.call("KV/Put", request, rpc_pb2.PutResponse)

    def get(self, key: bytes, range_end: bytes = b"", **options: object) -> rpc_pb2.RangeResponse:
        request = rpc_pb2.RangeRequest(key=key, range_end=range_end, **options)  # type: ignore[arg-type]
        return self.call("KV/Range", request, rpc_pb2.RangeResponse)

    def delete(
        self, key: bytes, range_end: bytes = b"", **options: object
    ) -> rpc_pb2.DeleteRangeResponse:
        request = rpc_pb2.DeleteRangeRequest(key=key, range_end=range_end, **options)  # type: ignore[arg-type]
        return self.call("KV/DeleteRange", request, rpc_pb2.DeleteRangeResponse)

    def txn(self, request: rpc_pb2.TxnRequest) -> rpc_pb2.TxnResponse:
        return self.call("KV/Txn", request, rpc_pb2.TxnResponse)

    def compact(self, revision: int, *, physical: bool = False) -> rpc_pb2.CompactionResponse:
        request = rpc_pb2.CompactionRequest(revision=revision, physical=physical)
        return self.call("KV/Compact", request, rpc_pb2.CompactionResponse)

    def grant(self, ttl: int, lease_id: int = 0) -> rpc_pb2.LeaseGrantResponse:
        request = rpc_pb2.LeaseGrantRequest(TTL=ttl, ID=lease_id)
        return self.call("Lease/LeaseGrant", request, rpc_pb2.LeaseGrantResponse)

    def revoke(self, lease_id: int) -> rpc_pb2.LeaseRevokeResponse:
        request = rpc_pb2.LeaseRevokeRequest(ID=lease_id)
        return self.call("Lease/LeaseRevoke", request, rpc_pb2.LeaseRevokeResponse)

    def time_to_live(self, lease_id: int) -> rpc_pb2.LeaseTimeToLiveResponse:
        request = rpc_pb2.LeaseTimeToLiveRequest(ID=lease_id, keys=True)
        return self.call("Lease/LeaseTimeToLive", request, rpc_pb2.LeaseTimeToLiveResponse)

    def status(self) -> rpc_pb2.StatusResponse:
        return self.call("Maintenance/Status", rpc_pb2.StatusRequest(), rpc_pb2.StatusResponse)

    def hash_kv(self, revision: int = 0) -> rpc_pb2.HashKVResponse:
        request = rpc_pb2.HashKVRequest(revision=revision)
        return self.call("Maintenance/HashKV", request, rpc_pb2.HashKVResponse)

    @property
    def revision(self) -> int:
        return self.get(b"\0", count_only=True).header.revision

    def close(self) -> None:
        self.channel.close()


class WatchStream:
    """A watch on one server, read by a thread."""

    def __init__(self, client: Client) -> None:
        self._requests: SimpleQueue[rpc_pb2.WatchRequest | None] = SimpleQueue()
        self.responses: SimpleQueue[rpc_pb2.WatchResponse] = SimpleQueue()
        call = client.channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=rpc_pb2.WatchRequest.SerializeToString,
            response_deserializer=rpc_pb2.WatchResponse.FromString,
        )
        self._call = call(iter(self._requests.get, None))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for response in self._call:
                self.responses.put(response)
        except grpc.RpcError:
            return

    def create(self, **options: object) -> rpc_pb2.WatchResponse:
        request = rpc_pb2.WatchCreateRequest(**options)  # type: ignore[arg-type]
        self._requests.put(rpc_pb2.WatchRequest(create_request=request))
        return self.responses.get(timeout=10)

    def send(self, request: rpc_pb2.WatchRequest) -> None:
        self._requests.put(request)

    def next(self, seconds: float = 10) -> rpc_pb2.WatchResponse:
        return self.responses.get(timeout=seconds)

    def events(self, count: int) -> list[kv_pb2.Event]:
        """Return the next *count* events, of whichever watch."""
        events: list[kv_pb2.Event] = []
        while len(events) < count:
            events += self.next().events
        return events

    def nothing_for(self, seconds: float) -> bool:
        try:
            self.responses.get(timeout=seconds)
        except Empty:
            return True
        return False

    def ended(self) -> grpc.StatusCode:
        """Wait until the server ends the stream; return how."""
        self._thread.join(CALL_SECONDS)
        assert not self._thread.is_alive()
        status: grpc.StatusCode = self._call.code()
        return status

    def close(self) -> None:
        self._call.cancel()
        self._requests.put(None)
        self._thread.join()


class Process(ABC):
    """A server process; ``port`` is where it listens."""

    port: int
    _process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def start(self) -> None:
        """Start it, on the data of an earlier one if there are any."""

    def wait_until_it_serves(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, "the server ended"
            client = self.client()
            try:
                client.status()
            except grpc.RpcError:
                time.sleep(0.05)
            else:
                return
            finally:
                client.close()
        raise AssertionError("the server did not start")

    def client(self) -> Client:
        return Client(self.port)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self, number: int = signal.SIGKILL) -> int:
        """End it by signal and return its exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        status = self._process.wait(START_SECONDS)
        self._process = None
        return status

    def stop(self) -> None:
        if self._process is not None:
            self.kill(signal.SIGTERM)


class Ours(Process):
    """``c101-core kv`` on *directory*."""

    def __init__(
        self, directory: Path, *, prefix: tuple[str, ...] = (), flags: tuple[str, ...] = ()
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self.prefix = prefix
        self.flags = flags

    def command(self) -> list[str]:
        url = f"http://127.0.0.1:{self.port}"
        core = [sys.executable, "-m", "c101.core.daemon"]
        return [
            *self.prefix,
            *core,
            "kv",
            "--data-dir",
            str(self.directory / "kv"),
            "--listen",
            url,
            *self.flags,
        ]

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "kv.log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), stderr=log)
        self.wait_until_it_serves()

    @property
    def log(self) -> str:
        return (self.directory / "kv.log").read_text()


class Etcd(Process):
    """Debian's etcd on *directory*."""

    def __init__(self, directory: Path, *, flags: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.port = free_port()
        self.flags = flags

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        client, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{free_port()}"
        arguments = [
            "etcd", "--name", "t1", "--data-dir", str(self.directory / "etcd"),
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"t1={peer}", "--log-level", "error", *self.flags,
        ]  # fmt: skip
        with (self.directory / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(arguments, stdout=log, stderr=log)
        self.wait_until_it_serves()


def etcdctl(
    port: int, *arguments: str, text: str | None = None, seconds: float = 20.0
) -> subprocess.CompletedProcess[str]:
    """Run Debian's etcdctl against a server and return what it said."""
    return subprocess.run(
        ["etcdctl", f"--endpoints=127.0.0.1:{port}", *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, "ETCDCTL_API": "3"},
        check=False,
    )


HAVE_ETCD = shutil.which("etcd") is not None
HAVE_ETCDCTL = shutil.which("etcdctl") is not None
HAVE_STRACE = shutil.which("strace") is not None
