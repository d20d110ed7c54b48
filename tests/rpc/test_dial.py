"""From addresses to byte streams."""

import asyncio
import ssl
from pathlib import Path

import pytest

from c101.core.errors import AuthError, ConfigError, LinkError
from c101.core.rpc.dial import TcpDialer, UnixDialer, dialer_for, split_urls


@pytest.mark.parametrize(
    ("url", "kind", "name"),
    [
        ("unix:///run/c101/kv.sock", UnixDialer, "unix:///run/c101/kv.sock"),
        ("http://127.0.0.1:2379", TcpDialer, "http://127.0.0.1:2379"),
        ("http://host", TcpDialer, "http://host:2379"),
        ("http://[::1]:80", TcpDialer, "http://[::1]:80"),
        ("https://host:1", TcpDialer, "https://host:1"),
    ],
)
def test_a_url_names_its_dialer(url: str, kind: type, name: str) -> None:
    dialer = dialer_for(url)
    assert type(dialer) is kind
    assert dialer.name == name


@pytest.mark.parametrize(
    "url",
    ["", "unix://", "host:2379", "ftp://x", "http://", "http://x:99999", "ssh://core@host/kv"],
)
def test_what_cannot_be_dialled_is_a_usage_error(url: str) -> None:
    with pytest.raises(ConfigError, match="endpoint") as caught:
        dialer_for(url)
    assert caught.value.exit_status == 2


def test_blanks_around_the_urls_of_a_list_do_not_count() -> None:
    assert split_urls("http://a:1, http://b:2 ,unix:///c") == [
        "http://a:1",
        "http://b:2",
        "unix:///c",
    ]


@pytest.mark.parametrize("text", ["", " ", ",", "http://a:1,", "http://a:1,,http://b:2"])
def test_a_list_without_a_url_in_each_place_is_a_usage_error(text: str) -> None:
    with pytest.raises(ConfigError, match="endpoint") as caught:
        split_urls(text)
    assert caught.value.exit_status == 2


async def test_a_port_that_nobody_serves_is_a_link_error() -> None:
    with pytest.raises(LinkError, match=r"cannot reach http://127\.0\.0\.1:1"):
        await TcpDialer("127.0.0.1", 1).dial(asyncio.Protocol())


async def test_a_name_that_nobody_has_is_a_link_error() -> None:
    with pytest.raises(LinkError, match="cannot reach"):
        await TcpDialer("no.such.host.invalid", 1).dial(asyncio.Protocol())


async def test_a_path_without_a_socket_is_a_link_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("none", "file", "x" * 200):
        with pytest.raises(LinkError, match="cannot reach unix://"):
            await UnixDialer(tmp_path / name).dial(asyncio.Protocol())


async def test_a_certificate_that_is_not_trusted_is_an_auth_error(
    server_tls: ssl.SSLContext,
) -> None:
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=server_tls)
    port = listener.sockets[0].getsockname()[1]
    told = r"TLS with https://127.0.0.1:\d+ failed: self-signed certificate"
    with pytest.raises(AuthError, match=told):
        await TcpDialer("127.0.0.1", port, ssl.create_default_context()).dial(asyncio.Protocol())
    listener.close()
