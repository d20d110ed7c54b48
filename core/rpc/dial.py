"""From an address to a byte stream: unix sockets, TCP and TLS.

SSH is dialled elsewhere: the composition roots hand such a dialer in.
"""

import asyncio
import ssl as tls
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from c101.core.errors import AuthError, ConfigError, LinkError

if TYPE_CHECKING:
    from c101.core.kv_tls import KvTls

#: etcd's client port, for addresses without one.
PORT_DEFAULT: Final = 2379


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """How https:// is dialled: PEM files.

    *ca_file* signs the servers, instead of those whom the system trusts. *cert_file*, with
    *key_file* unless it holds the key too, is what we show a server that asks who we are.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @classmethod
    def of(cls, files: "KvTls") -> "TlsOptions":
        """Return the options that *files* name."""
        ca, cert, key = (
            Path(name).expanduser() if name else None
            for name in (files.ca_file, files.cert_file, files.key_file)
        )
        return cls(ca_file=ca, cert_file=cert, key_file=key)

    def context(self) -> tls.SSLContext:
        """Return the TLS of a client; raise ConfigError when a file cannot be used."""
        if self.key_file is not None and self.cert_file is None:
            raise ConfigError(f"TLS: key_file {self.key_file} is given without cert_file")
        reading = self.ca_file
        try:
            context = tls.create_default_context(cafile=self.ca_file)
            reading = self.cert_file
            if self.cert_file is not None:
                context.load_cert_chain(self.cert_file, self.key_file, password=_no_passphrase)
        except (OSError, ValueError) as error:
            text = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise ConfigError(f"TLS: {reading}: {text}") from error
        context.minimum_version = tls.TLSVersion.TLSv1_2
        return context


def _no_passphrase() -> str:
    # OpenSSL would ask on the terminal otherwise.
    raise ValueError("the key has a passphrase")


class Dialer(Protocol):
    """Makes byte streams to one address. ``name`` is the address as people know it."""

    @property
    def name(self) -> str:
        """The address as a URL: ``unix:///run/c101/kv-admin.sock``."""
        ...

    async def dial(self, protocol: asyncio.Protocol) -> None:
        """Connect; ``protocol.connection_made`` has been called on return.

        Raises:
            LinkError: nobody answers there; AuthError and HostKeyError are kinds of it.
        """
        ...


class UnixDialer:
    """Dials the unix socket at *path*."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = f"unix://{self.path}"

    async def dial(self, protocol: asyncio.Protocol) -> None:
        """Connect (``Dialer``)."""
        loop = asyncio.get_running_loop()
        try:
            await loop.create_unix_connection(lambda: protocol, str(self.path))
        except PermissionError as error:
            hint = f"only the owner and the group of {self.path} may use it"
            raise AuthError(f"not allowed to open {self.name}", hint=hint) from error
        except OSError as error:
            raise LinkError(f"cannot reach {self.name}: {error.strerror or error}") from error


class TcpDialer:
    """Dials *host* and *port*; with TLS when *ssl* is given, whose ALPN is set to HTTP/2."""

    def __init__(self, host: str, port: int, ssl: tls.SSLContext | None = None) -> None:
        self.host = host
        self.port = port
        self._ssl = ssl
        if ssl is not None:
            ssl.set_alpn_protocols(["h2"])
        shown = f"[{host}]" if ":" in host else host
        self.name = f"{'http' if ssl is None else 'https'}://{shown}:{port}"

    async def dial(self, protocol: asyncio.Protocol) -> None:
        """Connect (``Dialer``)."""
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: protocol, self.host, self.port, ssl=self._ssl)
        except tls.SSLCertVerificationError as error:
            text = f"TLS with {self.name} failed: {error.verify_message}"
            raise AuthError(text, hint="ca_file (--kv-cacert) names who signs it") from error
        except tls.SSLError as error:
            raise AuthError(f"TLS with {self.name} failed: {error.reason}") from error
        except OSError as error:
            raise LinkError(f"cannot reach {self.name}: {error.strerror or error}") from error


def split_urls(text: str) -> list[str]:
    """Return the URLs of a comma-separated list; blanks around them do not count.

    Raises ConfigError: there is none, or nothing between two commas.
    """
    urls = [url.strip() for url in text.split(",")]
    if not any(urls):
        raise ConfigError("no endpoint was given", hint="for example http://127.0.0.1:2379")
    if not all(urls):
        raise ConfigError(f"endpoints {text!r}: one is empty", hint="URLs are separated by one ,")
    return urls


def dialer_for(url: str, tls_options: TlsOptions | None = None) -> Dialer:
    """Make the dialer for *url*: ``unix://``, ``http://`` or ``https://``.

    *tls_options* apply to the last; without them, those whom the system trusts are trusted.

    Raises:
        ConfigError: another scheme, not a URL, or files that cannot be used.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"endpoint {url!r}: {error}") from error
    if parts.scheme == "unix" and (path := parts.netloc + parts.path):
        return UnixDialer(path)
    if parts.scheme in ("http", "https") and host:
        secure = parts.scheme == "https"
        context = (tls_options or TlsOptions()).context() if secure else None
        return TcpDialer(host, port or PORT_DEFAULT, context)
    if parts.scheme == "ssh":
        raise ConfigError(f"endpoint {url!r}: ssh is not dialled by this program")
    raise ConfigError(
        f"endpoint {url!r} is not a URL that can be dialled",
        hint="use unix:///path, http://host:port or https://host:port",
    )
