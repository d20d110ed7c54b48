"""Which requests over HTTP/1.1 are answered at all.

A web page that somebody opens can make their browser send requests to any address, loopback
included. Two things give it away: ``Origin``, which a browser sets and a page cannot, and ``Host``,
which is the name that the page was loaded from even after that name was bound to another address.
"""

import ipaddress
from collections.abc import Iterable

from c101.core.errors import ConfigError
from c101.core.rpc.http1.exchange import Exchange
from c101.core.rpc.http1.response import TEXT, HttpResponse


class HttpAccess:
    """Refuses what a browser sends for a page that is not ours.

    Taken are requests whose Host is loopback, the address that the client reached, or one of
    *names*. What comes over a unix socket or an SSH channel, no browser has sent.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(map(_host_name, names))

    def refusal(self, exchange: Exchange) -> HttpResponse | None:
        """Return how the request is refused, ``None`` when it is to be answered."""
        if exchange.connection.peer.kind != "tcp":
            return None
        fields = exchange.request.fields
        host = fields.get("host")
        # HTTP/1.0 knows no Host, and no browser speaks it.
        if host is not None and not self.knows(host, exchange.connection.local_address):
            text = (
                f"c101: {_name_of(host)!r} is no name of this server; "
                "--host-whitelist NAME allows it\n"
            )
            return HttpResponse(status=421, body=text.encode(), content_type=TEXT)
        origin = fields.get("origin")
        if origin is not None:
            scheme = "https" if exchange.connection.secure else "http"
            if host is None or origin.lower() != f"{scheme}://{host}".lower():
                text = "c101: requests of web pages are not taken\n"
                return HttpResponse(status=403, body=text.encode(), content_type=TEXT)
        return None

    def knows(self, host: str, local_address: str) -> bool:
        """Say whether *host*, with a port or without, names the server at *local_address*."""
        name = _name_of(host)
        if name == "localhost" or name in self._names:
            return True
        address = _address(name)
        return address is not None and (
            address.is_loopback or address == _address(local_address.partition("%")[0])
        )


def _name_of(host: str) -> str:
    """Return the name in a Host field, which the parser has found well-formed."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().removesuffix(".")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _host_name(name: str) -> str:
    if not name or not all(letter.isalnum() or letter in "-._:" for letter in name):
        raise ConfigError(
            f"--host-whitelist {name!r}: not the name of a host",
            hint="every name has to be given: a web page could use any other",
        )
    return name.lower()
