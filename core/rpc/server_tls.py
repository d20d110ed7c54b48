"""TLS of the server: certificates that are read again when their files change."""

import logging
import ssl as tls
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from c101.core.errors import ConfigError

logger = logging.getLogger(__name__)

#: What is agreed on, the first first. Clients of gRPC offer HTTP/2 alone; who offers both is curl,
#: a browser or an HTTP library, and wants the gateway, which is HTTP/1.1.
PROTOCOLS: Final = ("http/1.1", "h2")

# What tells that a file was replaced or written: time, size, inode.
_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTlsFiles:
    """PEM files: the server's certificate with its chain, its key, and who signs its clients'.

    With *client_ca_file*, a client needs a certificate from there.
    """

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None


class ServerTls:
    """Makes the TLS of a server from *files*. TLS 1.2 and later.

    Files that change are read again at the next handshake. What cannot be read then, a
    certificate whose key is still being written, leaves the last good ones in use.

    Raises:
        ConfigError: the files cannot be used.
    """

    def __init__(self, files: ServerTlsFiles) -> None:
        self._files = files
        try:
            self._stamp = self._read_stamp()
            self._current = self._load()
            # A handshake begins with this one and goes on with the current.
            self.context = self._load()
        except (OSError, ValueError) as error:
            raise ConfigError(f"TLS: {_reason(files, error)}") from error
        self.context.sni_callback = self._on_hello

    def _paths(self) -> list[Path]:
        files = self._files
        paths = [files.cert_file, files.key_file]
        return paths if files.client_ca_file is None else [*paths, files.client_ca_file]

    def _read_stamp(self) -> _Stamp:
        stats = [path.stat() for path in self._paths()]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def _load(self) -> tls.SSLContext:
        files = self._files
        context = tls.SSLContext(tls.PROTOCOL_TLS_SERVER)
        context.minimum_version = tls.TLSVersion.TLSv1_2
        context.set_alpn_protocols(PROTOCOLS)
        # A key with a passphrase would be asked for on the terminal: it is refused instead.
        context.load_cert_chain(files.cert_file, files.key_file, password=_no_passphrase)
        if files.client_ca_file is not None:
            context.verify_mode = tls.CERT_REQUIRED
            context.load_verify_locations(files.client_ca_file)
        return context

    def _on_hello(
        self, connection: tls.SSLObject, _name: str | None, _context: tls.SSLContext
    ) -> None:
        """Have a handshake that begins use what the files hold."""
        try:
            stamp = self._read_stamp()
            if stamp != self._stamp:
                self._current = self._load()
                self._stamp = stamp
                logger.info("TLS files read again", extra={"path": str(self._files.cert_file)})
        except (OSError, ValueError) as error:
            logger.warning("TLS files not usable", extra={"reason": _reason(self._files, error)})
        connection.context = self._current


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")


def _reason(files: ServerTlsFiles, error: Exception) -> str:
    if isinstance(error, tls.SSLError):
        return f"{files.cert_file} and {files.key_file}: {error.reason or error}"
    if isinstance(error, OSError):
        return f"{error.filename or files.cert_file}: {error.strerror}"
    return f"{files.key_file}: {error}"
