"""Where the KV may listen on TCP, and with what TLS: the flags of ``c101-core kv``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from c101.core.errors import ConfigError

if TYPE_CHECKING:
    from c101.core.rpc.server_tls import ServerTlsFiles

_LOOPBACK: Final = frozenset(("127.0.0.1", "::1", "localhost"))
_PORT_DEFAULT: Final = 2379

#: A flag that names a file.
FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, kw_only=True)
class Listen:
    """An address to listen on; ``secure`` is TLS."""

    host: str
    port: int
    secure: bool


@dataclass(frozen=True, kw_only=True)
class TlsFlags:
    """What the flags say about TLS; their names and what they mean together are etcd's."""

    cert_file: Path | None
    key_file: Path | None
    trusted_ca_file: Path | None
    client_cert_auth: bool

    @property
    def asks_clients(self) -> bool:
        """Whether clients need a certificate: to say who signs them is to ask for it."""
        return self.trusted_ca_file is not None

    def check(self, listen: Sequence[str]) -> None:
        """Raise ConfigError for flags that do not go together, or with the URLs *listen*."""
        secure = next((url for url in listen if url.startswith("https:")), None)
        if self.client_cert_auth and self.trusted_ca_file is None:
            raise ConfigError("--client-cert-auth: --trusted-ca-file says who signs the clients'")
        if secure is not None and (self.cert_file is None or self.key_file is None):
            raise ConfigError(f"--listen {secure}: --cert-file and --key-file are needed")
        if secure is None and (self.cert_file or self.key_file or self.trusted_ca_file):
            raise ConfigError(
                "certificates are given, and TLS is served nowhere", hint="give --listen https://…"
            )

    def files(self) -> "ServerTlsFiles":
        """Return the files of a server that ``check`` found complete."""
        from c101.core.rpc.server_tls import ServerTlsFiles  # noqa: PLC0415

        assert self.cert_file is not None
        assert self.key_file is not None
        return ServerTlsFiles(
            cert_file=self.cert_file,
            key_file=self.key_file,
            client_ca_file=self.trusted_ca_file,
        )


def tls_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* the flags of TLS, as its argument ``tls``."""

    @wraps(command)
    def with_flags(
        *,
        cert_file: Path | None,
        key_file: Path | None,
        trusted_ca_file: Path | None,
        client_cert_auth: bool,
        **others: object,
    ) -> None:
        tls = TlsFlags(
            cert_file=cert_file,
            key_file=key_file,
            trusted_ca_file=trusted_ca_file,
            client_cert_auth=client_cert_auth,
        )
        command(tls=tls, **others)

    for option in (
        click.option("--client-cert-auth", is_flag=True, help="Clients need a certificate."),
        click.option("--trusted-ca-file", type=FILE, metavar="FILE", help="Who signs theirs."),
        click.option("--key-file", type=FILE, metavar="FILE", help="Its key."),
        click.option("--cert-file", type=FILE, metavar="FILE", help="Our certificate, for https."),
    ):
        with_flags = option(with_flags)
    return with_flags


def parse_listen(url: str, tls: TlsFlags) -> Listen:
    """Return where *url* says to listen.

    Raises:
        ConfigError: it is no such URL, or anybody could reach the KV there: beyond loopback, only
            clients that show a certificate are served.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as exc:
        raise ConfigError(f"--listen {url}: {exc}") from exc
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host or parts.path not in ("", "/"):
        raise ConfigError(f"--listen {url}: not of the form http(s)://ADDRESS:PORT")
    secure = parts.scheme == "https"
    if host not in _LOOPBACK and not (secure and tls.asks_clients):
        what = "TLS without client certificates" if secure else "plain TCP"
        raise ConfigError(
            f"--listen {url}: {what} is served on loopback only",
            hint="give https:// and --trusted-ca-file, or reach the KV over SSH: "
            "ssh://USER@HOST/kv-admin",
        )
    return Listen(host=host, port=_PORT_DEFAULT if port is None else port, secure=secure)
