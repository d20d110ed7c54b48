"""TLS: who is at the other end, certificates that are replaced, and peers that speak none."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from c101.core.errors import AuthError, ConfigError, LinkError
from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import TlsOptions, dialer_for
from c101.core.rpc.limits import Limits
from c101.core.rpc.peer import Peer
from c101.core.rpc.server import Server, UnaryCall
from c101.core.rpc.server_tls import ServerTls, ServerTlsFiles
from tests.certificates import Authority, Pair
from tests.rpc.conftest import port_of
from tests.rpc.test_server import check_cut_off, talk


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


class Site:
    """A server that notes who calls."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.server = Server({"/t.T/Who": self.who}, {}, limits=Limits(preface_seconds=1.0))

    def who(self, call: UnaryCall, _message: bytes) -> None:
        self.peers.append(call.peer)
        call.reply(b"")

    async def listen(self, pair: Pair, ca: Path | None = None) -> int:
        files = ServerTlsFiles(cert_file=pair.cert, key_file=pair.key, client_ca_file=ca)
        context = ServerTls(files).context
        return port_of(await self.server.serve_tcp("127.0.0.1", 0, context))

    async def call(self, port: int, options: TlsOptions) -> Peer:
        channel = Channel(dialer_for(f"https://127.0.0.1:{port}", options))
        try:
            await channel.unary("/t.T/Who", b"", timeout=10)
        finally:
            await channel.close()
        return self.peers[-1]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    yield made
    await made.server.close(0)


def served(port: int, ca: Path) -> str:
    """Return the common name of the certificate that a handshake shows."""
    context = ssl.create_default_context(cafile=ca)
    with (
        socket.create_connection(("127.0.0.1", port), 10) as link,
        context.wrap_socket(link, server_hostname="127.0.0.1") as secured,
    ):
        return _common_name(secured.getpeercert())


def _common_name(certificate: object) -> str:
    assert isinstance(certificate, dict)
    subject: Iterable[Iterable[tuple[str, str]]] = certificate["subject"]
    return next(value for names in subject for kind, value in names if kind == "commonName")


async def test_a_client_with_a_certificate_is_known_by_its_common_name(
    site: Site, authority: Authority
) -> None:
    port = await site.listen(authority.sign("server"), authority.file)
    alice = authority.sign("alice")
    options = TlsOptions(ca_file=authority.file, cert_file=alice.cert, key_file=alice.key)
    peer = await site.call(port, options)
    assert (peer.kind, peer.common_name) == ("tcp", "alice")


async def test_a_client_whose_certificate_nobody_asked_for_has_no_name(
    site: Site, authority: Authority
) -> None:
    port = await site.listen(authority.sign("server"))
    alice = authority.sign("alice")
    options = TlsOptions(ca_file=authority.file, cert_file=alice.cert, key_file=alice.key)
    assert (await site.call(port, options)).common_name == ""


async def test_a_client_without_a_certificate_or_with_a_strange_one_is_not_served(
    site: Site, authority: Authority, tmp_path: Path
) -> None:
    port = await site.listen(authority.sign("server"), authority.file)
    stranger = Authority(tmp_path / "other", "other").sign("alice")
    for options in (
        TlsOptions(ca_file=authority.file),
        TlsOptions(ca_file=authority.file, cert_file=stranger.cert, key_file=stranger.key),
    ):
        with pytest.raises(LinkError):
            await site.call(port, options)
    assert site.peers == []


async def test_a_server_that_nobody_vouches_for_is_not_spoken_to(
    site: Site, authority: Authority, tmp_path: Path
) -> None:
    port = await site.listen(authority.sign("server"))
    other = Authority(tmp_path / "other", "other")
    for options in (TlsOptions(ca_file=other.file), TlsOptions()):
        with pytest.raises(AuthError, match="issuer certificate"):
            await site.call(port, options)


async def test_a_certificate_that_is_replaced_is_shown_at_the_next_handshake(
    site: Site, authority: Authority
) -> None:
    pair = authority.sign("first", file="server")
    port = await site.listen(pair)
    assert await asyncio.to_thread(served, port, authority.file) == "first"
    authority.sign("second", file="server")
    assert await asyncio.to_thread(served, port, authority.file) == "second"


async def test_a_certificate_that_is_half_written_leaves_the_last_good_one_in_use(
    site: Site, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    pair = authority.sign("first", file="server")
    port = await site.listen(pair)
    key = pair.key.read_bytes()
    with caplog.at_level(logging.WARNING):
        authority.sign("second", file="other")
        pair.cert.write_bytes((pair.cert.parent / "other.pem").read_bytes())
        assert await asyncio.to_thread(served, port, authority.file) == "first"
        pair.key.unlink()
        assert await asyncio.to_thread(served, port, authority.file) == "first"
    assert len(caplog.records) == 2
    pair.key.write_bytes((pair.cert.parent / "other.key").read_bytes())
    assert await asyncio.to_thread(served, port, authority.file) == "second"
    assert pair.key.read_bytes() != key


async def test_whom_the_server_trusts_is_read_again_too(
    site: Site, authority: Authority, tmp_path: Path
) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes())
    port = await site.listen(authority.sign("server"), trusted)
    other = Authority(tmp_path / "other", "other")
    alice, bob = authority.sign("alice"), other.sign("bob")
    of_alice = TlsOptions(ca_file=authority.file, cert_file=alice.cert, key_file=alice.key)
    of_bob = TlsOptions(ca_file=authority.file, cert_file=bob.cert, key_file=bob.key)
    assert (await site.call(port, of_alice)).common_name == "alice"
    with pytest.raises(LinkError):
        await site.call(port, of_bob)
    trusted.write_bytes(other.file.read_bytes())
    assert (await site.call(port, of_bob)).common_name == "bob"
    with pytest.raises(LinkError):
        await site.call(port, of_alice)


async def test_http2_and_http1_are_agreed_on_and_nothing_older_than_tls_1_2(
    site: Site, authority: Authority
) -> None:
    port = await site.listen(authority.sign("server"))

    def agreed(*protocols: str) -> str | None:
        context = ssl.create_default_context(cafile=authority.file)
        context.set_alpn_protocols(list(protocols))
        with (
            socket.create_connection(("127.0.0.1", port), 10) as link,
            context.wrap_socket(link, server_hostname="localhost") as secured,
        ):
            assert secured.version() in ("TLSv1.2", "TLSv1.3")
            return secured.selected_alpn_protocol()

    assert await asyncio.to_thread(agreed, "h2") == "h2"
    assert await asyncio.to_thread(agreed, "http/1.1") == "http/1.1"
    # Who can do both is no client of gRPC.
    assert await asyncio.to_thread(agreed, "h2", "http/1.1") == "http/1.1"
    assert await asyncio.to_thread(agreed, "http/1.1", "h2") == "http/1.1"

    def old() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="deprecated"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", port), 10) as link:
            context.wrap_socket(link)

    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.to_thread(old)


async def test_plain_text_on_a_tls_port_is_cut_off_and_the_server_goes_on(
    site: Site, authority: Authority
) -> None:
    port = await site.listen(authority.sign("server"))
    for said in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in await talk(port, said)
    channel = Channel(dialer_for(f"http://127.0.0.1:{port}"))
    with pytest.raises(LinkError):
        await channel.unary("/t.T/Who", b"", timeout=10)
    await channel.close()
    await site.call(port, TlsOptions(ca_file=authority.file))


async def test_a_handshake_that_does_not_go_on_is_given_up(
    site: Site, authority: Authority
) -> None:
    port = await site.listen(authority.sign("server"))
    await check_cut_off(port, b"\x16\x03\x01")
    assert site.server.connections == 0


async def test_tls_on_a_plain_port_is_cut_off(site: Site, authority: Authority) -> None:
    port = port_of(await site.server.serve_tcp("127.0.0.1", 0))
    with pytest.raises(LinkError):
        await site.call(port, TlsOptions(ca_file=authority.file))


def test_files_that_cannot_be_used_are_one_clear_error(
    authority: Authority, tmp_path: Path
) -> None:
    pair, other = authority.sign("server"), authority.sign("other")
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("nothing")
    missing = tmp_path / "missing.pem"
    for cert, key, ca in (
        (missing, pair.key, None),
        (pair.cert, missing, None),
        (pair.cert, other.key, None),
        (garbage, pair.key, None),
        (pair.cert, pair.key, garbage),
        (pair.cert, pair.key, missing),
    ):
        files = ServerTlsFiles(cert_file=cert, key_file=key, client_ca_file=ca)
        with pytest.raises(ConfigError, match=r"^TLS: "):
            ServerTls(files)
    for options in (
        TlsOptions(ca_file=missing),
        TlsOptions(ca_file=garbage),
        TlsOptions(cert_file=pair.cert, key_file=other.key),
        TlsOptions(cert_file=missing),
        TlsOptions(key_file=pair.key),
    ):
        with pytest.raises(ConfigError, match=r"^TLS: "):
            dialer_for("https://localhost", options)
        # Without https nobody reads them.
        dialer_for("http://localhost", options)


def test_a_key_with_a_passphrase_is_refused_and_not_asked_for(
    authority: Authority, tmp_path: Path
) -> None:
    pair = authority.sign("server")
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConfigError, match="passphrase"):
        ServerTls(ServerTlsFiles(cert_file=pair.cert, key_file=locked))
    with pytest.raises(ConfigError, match="passphrase"):
        TlsOptions(cert_file=pair.cert, key_file=locked).context()
