"""From URLs, certificates and a password to a client."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from c101.core.errors import AuthError, ConfigError, LinkError
from c101.core.etcd import connect
from c101.core.etcd.connecting import ConnectOptions
from c101.core.etcd.errors import PermissionDeniedError
from tests.etcd.certificates import Authority
from tests.etcd.tls_etcd import TlsEtcd
from tests.processes import KVProcess, running

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsEtcd]:
    with running(TlsEtcd, tmp_path_factory.mktemp("tls")) as server:
        assert isinstance(server, TlsEtcd)
        yield server


async def test_a_client_with_a_certificate_works_over_tls(tls: TlsEtcd) -> None:
    own = tls.authority.sign("someone")
    async with connect(
        tls.url, ca_file=tls.authority.ca, cert_file=own.cert, key_file=own.key
    ) as client:
        await client.put("/tls", "x")
        assert (await client.get("/tls")) is not None
        async with client.watch("/tls") as watch:
            await client.put("/tls", "y")
            assert (await anext(watch)).events[0].kv.value == b"y"
        await client.cluster.sync()
        assert client.cluster.endpoints == (tls.url,)
        await client.put("/tls", "z")


async def test_a_server_that_nobody_vouches_for_is_refused(tls: TlsEtcd, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    own = tls.authority.sign("another")
    shown: ConnectOptions = {"cert_file": own.cert, "key_file": own.key, "timeout_seconds": 2}
    for given in (shown, shown | {"ca_file": stranger.ca}):
        async with connect(tls.url, **given) as client:
            with pytest.raises(AuthError, match="TLS"):
                await client.get("/tls")


async def test_a_client_without_a_certificate_is_refused(tls: TlsEtcd) -> None:
    async with connect(tls.url, ca_file=tls.authority.ca, timeout_seconds=1) as client:
        with pytest.raises(LinkError):
            await client.get("/tls")


async def test_the_name_in_a_certificate_is_a_user(tmp_path: Path) -> None:
    with running(TlsEtcd, tmp_path / "own") as server:
        assert isinstance(server, TlsEtcd)
        authority = server.authority
        root, alice = authority.sign("root"), authority.sign("alice")
        async with connect(
            server.url, ca_file=authority.ca, cert_file=root.cert, key_file=root.key
        ) as client:
            await client.auth.add_user("root", None)
            await client.auth.add_role("root")
            await client.auth.grant_role("root", "root")
            await client.auth.add_user("alice", None)
            await client.auth.enable()
            await client.put("/k", "x")
        async with connect(
            server.url, ca_file=authority.ca, cert_file=alice.cert, key_file=alice.key
        ) as client:
            with pytest.raises(PermissionDeniedError):
                await client.get("/k")


async def test_a_list_of_urls_is_as_good_as_one_with_commas(server: KVProcess) -> None:
    for urls in (f"http://127.0.0.1:1, {server.url}", ["http://127.0.0.1:1", server.url]):
        async with connect(urls) as client:
            await client.get("/k")
            assert client.cluster.endpoints[0] == server.url


WRONG: dict[str, tuple[str, dict[str, str], str]] = {
    "no endpoint": ("", {}, "no endpoint"),
    "a host without a scheme": ("localhost:2379", {}, "not a URL"),
    "a user without a password": ("http://a", {"user": "x"}, "without a password"),
    "a key without its certificate": ("https://a", {"key_file": "k"}, "without cert_file"),
    "a file that is not there": ("https://a", {"ca_file": "/nowhere"}, "/nowhere"),
    "a certificate for http": ("http://a", {"ca_file": "ca"}, "no endpoint is https"),
}


@pytest.mark.parametrize(("url", "options", "text"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_connected_to_is_refused_at_once(
    tmp_path: Path, url: str, options: dict[str, str], text: str
) -> None:
    if options.get("ca_file") == "ca":
        options = {"ca_file": str(Authority(tmp_path).ca)}
    with pytest.raises(ConfigError, match=text):
        connect(url, **options)  # type: ignore[arg-type]
