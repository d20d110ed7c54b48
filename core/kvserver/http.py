"""What is served over HTTP/1.1 on the same port: who we are and whether we are well."""

import json

from c101.core.kvserver.context import CLUSTER_VERSION, ETCD_VERSION, Context
from c101.core.rpc.http1 import HttpHandler, HttpRequest, HttpResponse, not_found

_JSON = "application/json"


def http_handler(context: Context) -> HttpHandler:
    """Return the handler of ``GET /version`` and ``GET /health``."""

    def handle(request: HttpRequest) -> HttpResponse:
        match request.path:
            case "/version":
                body = {"etcdserver": ETCD_VERSION, "etcdcluster": CLUSTER_VERSION}
                return _json(200, body)
            case "/health":
                healthy = context.store.writable and not context.store.admission.alarms.raised()
                return _json(200 if healthy else 503, {"health": str(healthy).lower()})
            case _:
                return not_found(request)

    return handle


def _json(status: int, body: dict[str, str]) -> HttpResponse:
    text = json.dumps(body, separators=(",", ":")).encode()
    return HttpResponse(status=status, body=text, content_type=_JSON)
