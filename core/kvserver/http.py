"""What is served over HTTP/1.1 on the same port: who we are and whether we are well."""

import json

from c101.core.kvserver.context import CLUSTER_VERSION, ETCD_VERSION, Context
from c101.core.rpc.http1.exchange import Exchange, HttpHandler
from c101.core.rpc.http1.response import NOT_FOUND, HttpResponse


def http_handler(context: Context) -> HttpHandler:
    """Return the handler of ``GET /version`` and ``GET /health``."""

    async def handle(exchange: Exchange) -> None:
        match exchange.request.path:
            case "/version":
                body = {"etcdserver": ETCD_VERSION, "etcdcluster": CLUSTER_VERSION}
                await exchange.respond(_json(200, body))
            case "/health":
                healthy = context.store.writable
                answer = _json(200 if healthy else 503, {"health": str(healthy).lower()})
                await exchange.respond(answer)
            case _:
                await exchange.respond(NOT_FOUND)

    return handle


def _json(status: int, body: dict[str, str]) -> HttpResponse:
    text = json.dumps(body, separators=(",", ":")).encode()
    return HttpResponse(status=status, body=text)
