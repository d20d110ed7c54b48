"""Peers, certificates and servers for the tests of the RPC layer."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from c101.core.rpc.limits import Limits
from c101.core.rpc.routes import StreamHandler, UnaryHandler
from c101.core.rpc.server import Server, ServerStream, UnaryCall, unary
from c101.core.rpc.status import Code, RpcError
from tests.rpc.raw_peer import RawPeer, echo, echo_stream

MakePeer = Callable[..., RawPeer]
Serve = Callable[..., Awaitable[tuple[Server, int]]]


@pytest.fixture
async def make_peer() -> AsyncIterator[MakePeer]:
    """Make raw peers of a server that echoes; they are closed after the test."""
    made: list[RawPeer] = []

    def make(limits: Limits | None = None, *, greet: bool = True, **handlers: object) -> RawPeer:
        streams: dict[str, StreamHandler] = {"/test.Echo/Stream": echo_stream}
        calls: dict[str, UnaryHandler] = {"/test.Echo/Unary": echo}
        for name, handler in handlers.items():
            (streams if asyncio.iscoroutinefunction(handler) else calls)["/test.Echo/" + name] = (
                handler  # type: ignore[assignment]
            )
        peer = RawPeer(calls, streams, limits)
        made.append(peer)
        if greet:
            peer.greet()
        return peer

    yield make
    for peer in made:
        await peer.close()


def fail(_call: UnaryCall, message: bytes) -> None:
    """Refuse with the message as the reason."""
    raise RpcError(Code.FAILED_PRECONDITION, message.decode())


async def wait_long(_message: bytes) -> bytes:
    """Answer never, as far as a test is concerned."""
    await asyncio.sleep(30)
    return b""


async def collect(stream: ServerStream) -> None:
    """Answer all messages at once, at the end."""
    stream.send(b",".join([message async for message in stream]))


async def count(stream: ServerStream) -> None:
    """Answer as many numbers as were asked for."""
    async for message in stream:
        for number in range(int(message)):
            stream.send(b"%d" % number)
            await stream.drain()


async def fail_late(stream: ServerStream) -> None:
    """Answer one message, then a status."""
    stream.send(b"first")
    raise RpcError(Code.ABORTED, "späť 100 %")


def metadata(call: UnaryCall, _message: bytes) -> None:
    """Answer the caller's own metadata."""
    call.reply(b";".join(name + b"=" + value for name, value in call.metadata))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server with a method of every kind, listening nowhere yet."""
    made = Server(
        {
            "/test.Echo/Unary": echo,
            "/test.Echo/Fail": fail,
            "/test.Echo/Wait": unary(wait_long),
            "/test.Echo/Metadata": metadata,
        },
        {
            "/test.Echo/Stream": echo_stream,
            "/test.Echo/Collect": collect,
            "/test.Echo/Count": count,
            "/test.Echo/FailLate": fail_late,
        },
    )
    yield made
    await made.close(0)


@pytest.fixture
async def port(server: Server) -> int:
    """The port on which ``server`` listens for TCP."""
    return port_of(await server.serve_tcp("127.0.0.1", 0))


def port_of(listener: asyncio.Server) -> int:
    """Return the port that *listener* was given."""
    return int(listener.sockets[0].getsockname()[1])


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "cert.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    """TLS as a server does it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def client_tls(certificate: Path) -> ssl.SSLContext:
    """TLS as a client does it that trusts the certificate."""
    return ssl.create_default_context(cafile=str(certificate))
