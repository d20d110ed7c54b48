"""What is served over HTTP/1.1 on the KV's port, and to whom."""

import json
from typing import Final

from c101.core.kv.snapshot.etcd_buckets import CLUSTER_VERSION
from c101.core.kvserver.access import HttpAccess
from c101.core.kvserver.context import ETCD_VERSION, Context
from c101.core.kvserver.gateway import Gateway
from c101.core.kvserver.metrics import CONTENT_TYPE, Metrics
from c101.core.rpc.http1.exchange import Exchange
from c101.core.rpc.http1.response import (
    JSON,
    NOT_FOUND,
    TEXT,
    HttpResponse,
    text_response,
)

_GET_ONLY: Final = HttpResponse(
    status=405, body=b"Method Not Allowed\n", content_type=TEXT, fields=("Allow: GET",)
)
_METHOD_NOT_ALLOWED: Final = text_response(405, "Method Not Allowed")


class HttpService:
    """``/version``, ``/health``, ``/metrics`` and the JSON gateway."""

    def __init__(
        self, context: Context, access: HttpAccess, metrics: Metrics, gateway: Gateway
    ) -> None:
        self._context = context
        self._access = access
        self._metrics = metrics
        self._gateway = gateway

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request (``HttpHandler``)."""
        refusal = self._access.refusal(exchange)
        if refusal is not None:
            await exchange.respond(refusal)
        elif self._gateway.serves(exchange.request.path):
            await self._gateway.handle(exchange)
        else:
            await exchange.respond(self._answer(exchange))

    def _answer(self, exchange: Exchange) -> HttpResponse:
        request = exchange.request
        match request.path, request.method:
            case "/version", "GET":
                body = {"etcdserver": ETCD_VERSION, "etcdcluster": CLUSTER_VERSION}
                return _json(200, body, JSON)
            case "/health", "GET":
                # What the query may ask for makes no difference to a member that is alone: it has
                # no leader to lose, and a serializable read is like any other.
                store = self._context.store
                healthy = store.writable and not store.admission.alarms.raised()
                return _json(200 if healthy else 503, {"health": str(healthy).lower()}, TEXT)
            case "/health", _:
                return _GET_ONLY
            case "/metrics", "GET" | "HEAD":
                return HttpResponse(body=self._metrics.text(), content_type=CONTENT_TYPE)
            case "/version" | "/metrics", _:
                return _METHOD_NOT_ALLOWED
            case _:
                return NOT_FOUND


def _json(status: int, body: dict[str, str], content_type: str) -> HttpResponse:
    text = json.dumps(body, separators=(",", ":")).encode()
    return HttpResponse(status=status, body=text, content_type=content_type)
