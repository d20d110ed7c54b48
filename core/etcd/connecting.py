"""From URLs, certificates and a password to a client."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack

from c101.core.clock import Clock, SystemClock
from c101.core.errors import ConfigError
from c101.core.etcd.client import Client
from c101.core.etcd.tokens import Tokens
from c101.core.rpc.dial import TlsOptions, dialer_for, split_urls


class ConnectOptions(TypedDict, total=False):
    """Options of ``connect``.

    ``user``, ``password``: who we are to the KV, where it asks.
    ``ca_file``: PEM, who may vouch for the servers of ``https`` URLs, in place of the system's own.
    ``cert_file``, ``key_file``: PEM, what we show those who ask for a certificate.
    ``timeout_seconds``: what each request may take, all attempts together; 5 by default.
    ``fails_fast``: give up once each endpoint was tried, as long as none was ever reached.
    ``sync_seconds``: follow the members' own list of URLs, this often; not by default.
    ``clock``: where time comes from; the system's by default.
    """

    user: str
    password: str
    ca_file: str | Path
    cert_file: str | Path
    key_file: str | Path
    timeout_seconds: float
    fails_fast: bool
    sync_seconds: float
    clock: Clock


def connect(urls: str | Sequence[str], **options: Unpack[ConnectOptions]) -> Client:
    """Return a client of the KV at *urls*, a list or comma-separated: ``async with`` it.

    ``http://host:2379``, ``https://host:2379``, ``unix:///path``; several are members of one KV.
    Nothing is connected before the first request.

    Raises ConfigError: not such a URL, a file that is no certificate or key, a certificate where
    no URL is ``https``, a user without a password.

    Example::

        async with connect(url, timeout_seconds=2) as client:
            await client.put("/greeting", "hello")
    """
    addresses = split_urls(urls if isinstance(urls, str) else ",".join(urls))
    tls = _tls_options(options)
    if tls is not None and not any(a.startswith("https:") for a in addresses):
        raise ConfigError(
            "certificates are given, and no endpoint is https",
            hint=f"use {addresses[0].replace('http:', 'https:', 1)}",
        )
    dial = partial(dialer_for, tls_options=tls)
    client = Client(
        [dial(address) for address in addresses],
        clock=options.get("clock") or SystemClock(),
        timeout_seconds=options.get("timeout_seconds", 5.0),
        fails_fast=options.get("fails_fast", False),
        tokens=_tokens(options),
    )
    client.cluster.follow_members(dial, every_seconds=options.get("sync_seconds"))
    return client


def _tls_options(options: ConnectOptions) -> TlsOptions | None:
    """Return the files that were given; ``None`` when none was."""
    ca, cert, key = options.get("ca_file"), options.get("cert_file"), options.get("key_file")
    if ca is None and cert is None and key is None:
        return None
    return TlsOptions(ca_file=_path(ca), cert_file=_path(cert), key_file=_path(key))


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def _tokens(options: ConnectOptions) -> Tokens | None:
    user = options.get("user")
    if user is None:
        return None
    if "password" not in options:
        raise ConfigError(f"user {user!r} is given without a password")
    return Tokens(user, options["password"])
