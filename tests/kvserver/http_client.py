"""Requests over HTTP/1.1 to a server, ours or etcd's, by a client that nobody here wrote."""

import http.client
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

ANSWER_SECONDS = 20.0

_IDS = re.compile(rb'"(cluster_id|member_id)":"[0-9]+"')


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer, with the ids that no two servers share taken out of its body."""

    status: int
    content_type: str | None
    body: bytes

    def json(self) -> object:
        return json.loads(self.body)


@contextmanager
def connected(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        yield connection
    finally:
        connection.close()


def ask(
    port: int,
    path: str,
    body: bytes | str | None = b"{}",
    *,
    method: str = "POST",
    fields: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request and return its answer."""
    data = body.encode() if isinstance(body, str) else body
    with connected(port) as connection:
        connection.request(method, path, data, dict(fields or {}))
        response = connection.getresponse()
        return Answer(
            status=response.status,
            content_type=response.getheader("Content-Type"),
            body=_IDS.sub(rb'"\1":"1"', response.read()),
        )


def lines(port: int, path: str, body: str, count: int) -> list[object]:
    """Return the first *count* lines of a stream of answers, then leave."""
    with connected(port) as connection:
        connection.request("POST", path, body.encode())
        response = connection.getresponse()
        assert response.status == 200, response.read()
        read = [response.readline() for _ in range(count)]
    return [json.loads(_IDS.sub(rb'"\1":"1"', line)) for line in read]
