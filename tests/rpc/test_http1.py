"""The little HTTP/1.1 on the RPC port."""

import pytest

from c101.core.rpc.http1 import (
    HEAD_BYTES_MAX,
    Http1Connection,
    HttpRequest,
    HttpResponse,
    not_found,
)


def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse(body=f"{request.path}?{request.query}".encode())


def ask(data: bytes) -> tuple[bytes, bool]:
    connection = Http1Connection(answer)
    return connection.receive(data), connection.closing


def test_a_get_is_answered_however_it_is_cut() -> None:
    request = b"GET /version?a=b HTTP/1.1\r\nHost: localhost:2379\r\nX: y\r\n\r\n"
    whole, closing = ask(request)
    assert whole == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n"
        b"X-Content-Type-Options: nosniff\r\n\r\n/version?a=b"
    )
    assert not closing
    for cut in range(len(request)):
        connection = Http1Connection(answer)
        assert connection.receive(request[:cut]) + connection.receive(request[cut:]) == whole


def test_requests_one_behind_the_other_are_answered_in_order() -> None:
    request = "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"
    answers, _ = ask(((request % 1) + (request % 2)).encode())
    assert answers.index(b"/1?") < answers.index(b"/2?")


def test_head_has_the_length_and_no_body() -> None:
    head, _ = ask(b"HEAD /abc HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Content-Length: 5\r\n" in head
    assert head.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: Close\r\n\r\n",
    ],
)
def test_the_connection_is_closed_when_the_client_says_so(request_head: bytes) -> None:
    answers, closing = ask(request_head)
    assert answers.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close\r\n" in answers
    assert closing


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/3\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * HEAD_BYTES_MAX, 431),
    ],
)
def test_what_is_not_served_is_told_so_and_closed(request_head: bytes, status: int) -> None:
    answers, closing = ask(request_head)
    assert answers.startswith(b"HTTP/1.1 %d " % status)
    assert closing


def test_nothing_is_taken_after_a_refusal() -> None:
    connection = Http1Connection(answer)
    connection.receive(b"nonsense\r\n\r\n")
    assert connection.receive(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == b""


def test_a_server_without_http_answers_404() -> None:
    assert not_found(HttpRequest(method="GET", path="/")).status == 404
