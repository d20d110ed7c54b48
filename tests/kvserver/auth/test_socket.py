"""The admin socket is root's way in, for any client: grpcio here, unmodified, and c101ctl."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from c101.core.proto import rpc_pb2
from tests.kvserver.auth.pair import ASK_SECONDS, SLOW_SECONDS, Grant, Session, permission, set_up
from tests.kvserver.processes import Ours

pytestmark = [pytest.mark.integration, pytest.mark.timeout(SLOW_SECONDS)]

BIN = Path(sys.executable).parent


class WithSocket(Ours):
    """``c101-core kv`` that listens on its admin socket, too."""

    @property
    def socket(self) -> Path:
        return self.directory / "s" / "kv-admin.sock"

    def command(self) -> list[str]:
        return [*super().command(), "--socket-dir", str(self.socket.parent)]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithSocket]:
    process = WithSocket(tmp_path_factory.mktemp("own"))
    process.start()
    session = Session(process.client())
    set_up(session, {"u": Grant(permission("READWRITE", b"u/", b"u0"))})
    session.client.close()
    yield process
    process.stop()


@pytest.fixture
def by_socket(own: WithSocket) -> Iterator[grpc.Channel]:
    options = [("grpc.use_local_subchannel_pool", 1)]
    channel = grpc.insecure_channel(f"unix:{own.socket}", options=options)
    yield channel
    channel.close()


def put(channel: grpc.Channel, key: bytes, token: str | None = None) -> str:
    """Put *key* and return "" or the status of the refusal."""
    method = channel.unary_unary(
        "/etcdserverpb.KV/Put",
        request_serializer=rpc_pb2.PutRequest.SerializeToString,
        response_deserializer=rpc_pb2.PutResponse.FromString,
    )
    metadata = () if token is None else (("token", token),)
    try:
        method(rpc_pb2.PutRequest(key=key), timeout=ASK_SECONDS, metadata=metadata)
    except grpc.RpcError as exc:
        return str(exc.details())
    return ""


def test_grpcio_is_root_by_the_admin_socket_and_nobody_by_tcp(
    own: WithSocket, by_socket: grpc.Channel
) -> None:
    assert put(by_socket, b"anywhere") == ""
    client = own.client()
    assert put(client.channel, b"anywhere") == "etcdserver: user name is empty"
    client.close()


def test_grpcio_by_token_is_that_user_by_tcp_and_by_the_socket(
    own: WithSocket, by_socket: grpc.Channel
) -> None:
    session = Session(own.client())
    session.log_in("u", "u")
    for channel in (session.client.channel, by_socket):
        assert put(channel, b"u/a", session.tokens["u"]) == ""
        assert put(channel, b"anywhere", session.tokens["u"]) == "etcdserver: permission denied"
        assert put(channel, b"u/a", "rubbish") == "etcdserver: invalid auth token"
    token = session.tokens["u"]
    assert token is not None
    assert token.partition(".")[0] not in own.log
    session.client.close()


def test_a_watch_and_a_lease_by_the_socket_need_no_name(
    own: WithSocket, by_socket: grpc.Channel
) -> None:
    watch = by_socket.stream_stream(
        "/etcdserverpb.Watch/Watch",
        request_serializer=rpc_pb2.WatchRequest.SerializeToString,
        response_deserializer=rpc_pb2.WatchResponse.FromString,
    )
    create = rpc_pb2.WatchCreateRequest(key=b"\0", range_end=b"\0")
    response = next(watch(iter([rpc_pb2.WatchRequest(create_request=create)]), timeout=ASK_SECONDS))
    assert response.created
    assert not response.canceled
    grant = by_socket.unary_unary(
        "/etcdserverpb.Lease/LeaseGrant",
        request_serializer=rpc_pb2.LeaseGrantRequest.SerializeToString,
        response_deserializer=rpc_pb2.LeaseGrantResponse.FromString,
    )
    lease = grant(rpc_pb2.LeaseGrantRequest(TTL=60), timeout=ASK_SECONDS).ID
    renew = by_socket.stream_stream(
        "/etcdserverpb.Lease/LeaseKeepAlive",
        request_serializer=rpc_pb2.LeaseKeepAliveRequest.SerializeToString,
        response_deserializer=rpc_pb2.LeaseKeepAliveResponse.FromString,
    )
    renewed = next(renew(iter([rpc_pb2.LeaseKeepAliveRequest(ID=lease)]), timeout=ASK_SECONDS))
    assert renewed.TTL == 60


def test_c101ctl_goes_on_working_by_the_socket(own: WithSocket) -> None:
    def run(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / "c101ctl", "--kv", url, *arguments],
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=False,
        )

    assert run(f"unix://{own.socket}", "set", "/k", "1").returncode == 0
    assert run(f"unix://{own.socket}", "get", "/k").stdout == "1\n"
    refused = run(f"http://127.0.0.1:{own.port}", "get", "/k")
    assert refused.returncode != 0
    assert "user name is empty" in refused.stderr
