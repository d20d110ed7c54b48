"""Requests from bytes: however they are cut, and all that is refused about them."""

import pytest

from c101.core.rpc.http1.limits import (
    CHUNK_LINE_BYTES_MAX,
    FIELDS_MAX,
    HEAD_BYTES_MAX,
    PIECE_BYTES_MAX,
    PIECE_CHUNKS_MAX,
)
from c101.core.rpc.http1.parser import RequestParser
from c101.core.rpc.http1.request import HttpError, HttpRequest

Found = list[tuple[HttpRequest, bytes]]


def read(*parts: bytes) -> tuple[Found, int | None]:
    """Parse requests that arrive in *parts*; return them, and the status of what refused one."""
    parser = RequestParser()
    found: Found = []
    try:
        for part in parts:
            parser.feed(part)
            while True:
                while piece := parser.next_piece():
                    found[-1] = (found[-1][0], found[-1][1] + piece)
                request = parser.next_request() if parser.body_done else None
                if request is None:
                    break
                found.append((request, b""))
    except HttpError as error:
        return found, error.status
    return found, None


def read_however_cut(data: bytes) -> tuple[Found, int | None]:
    """Parse *data* whole, cut in two at every byte, and byte by byte; check that it is the same."""
    whole = read(data)
    for cut in range(1, len(data)):
        assert read(data[:cut], data[cut:]) == whole, cut
    assert read(*[data[at : at + 1] for at in range(len(data))]) == whole
    return whole


HOST = b"Host: x\r\n"


def test_requests_one_behind_the_other_are_found_however_they_are_cut() -> None:
    data = (
        b"GET /version?a=b HTTP/1.1\r\nHost: localhost:2379\r\nX-Y:  z \r\n\r\n"
        b"POST /a HTTP/1.1\r\nHost: [::1]:1\r\nContent-Length: 5\r\n\r\nhello\r\n"
        b"POST /b HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
        b"3\r\nabc\r\n0A;e=1\r\n0123456789\r\n0\r\nTrailer: dropped\r\n\r\n"
        b"GET /c HTTP/1.0\r\n\r\n"
    )
    found, refused = read_however_cut(data)
    assert refused is None
    heads = [request for request, _ in found]
    assert [(head.method, head.path, head.query) for head in heads] == [
        ("GET", "/version", "a=b"),
        ("POST", "/a", ""),
        ("POST", "/b", ""),
        ("GET", "/c", ""),
    ]
    assert heads[0].fields == {"host": "localhost:2379", "x-y": "z"}
    assert [body for _, body in found] == [b"", b"hello", b"abc0123456789", b""]
    assert [head.keep_alive for head in heads] == [True, True, True, False]


@pytest.mark.parametrize(
    ("line", "keep_alive"),
    [
        (b"Connection: close\r\n", False),
        (b"Connection: foo, Close\r\n", False),
        (b"Connection: keep-alive\r\n", True),
        (b"Connection: a\r\nConnection: close\r\n", False),
    ],
)
def test_the_client_says_whether_the_connection_goes_on(line: bytes, keep_alive: bool) -> None:
    ((request, _),), _ = read(b"GET / HTTP/1.1\r\n" + HOST + line + b"\r\n")
    assert request.keep_alive is keep_alive


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"GET /\r\n\r\n", 400, id="a line of two words"),
        pytest.param(b"GET / HTTP/3\r\n" + HOST + b"\r\n", 400, id="no version"),
        pytest.param(b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505, id="another version"),
        pytest.param(b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="two blanks"),
        pytest.param(b"G\tT / HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="a method with a tab"),
        pytest.param(b"GET http://x/ HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="a proxy's target"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="the star"),
        pytest.param(b"GET /\xe9 HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="a target beyond ASCII"),
        pytest.param(b"GET /%zz HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="a broken escape"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, id="a host of two words"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400, id="a host with a path"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: u@x\r\n\r\n", 400, id="a host with a user"),
        pytest.param(b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400, id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\n" + HOST + b" folded\r\n\r\n", 400, id="a folded line"),
        pytest.param(b"GET / HTTP/1.1\r\n folded\r\n" + HOST + b"\r\n", 400, id="folded at first"),
        pytest.param(b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400, id="no colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, id="a blank before the colon"),
        pytest.param(b"GET / HTTP/1.1\r\n" + HOST + b"a: \0\r\n\r\n", 400, id="a zero byte"),
        pytest.param(b"GET / HTTP/1.1\r\n" + HOST + b"a: b\rc\r\n\r\n", 400, id="a bare CR"),
        pytest.param(b"GET / HTTP/1.1\n" + HOST + b"\r\n", 400, id="a bare LF behind the line"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\n\r\n", 400, id="a bare LF behind a field"),
        pytest.param(b"GET / HTTP/1.1\nHost: x\n\n", 400, id="nothing but bare LF"),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + HOST + b"a: b\n\r\n", 400, id="LF, then an empty line"
        ),
    ],
)
def test_a_malformed_head_is_refused_wherever_it_is_cut(data: bytes, status: int) -> None:
    assert read_however_cut(data) == ([], status)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param(
            "Content-Length: 5\r\nTransfer-Encoding: chunked", 400, id="length and chunks"
        ),
        pytest.param(
            "Transfer-Encoding: chunked\r\nContent-Length: 5", 400, id="chunks and length"
        ),
        pytest.param("Content-Length: 5\r\nContent-Length: 5", 400, id="two equal lengths"),
        pytest.param("Content-Length: 5\r\nContent-Length: 6", 400, id="two lengths"),
        pytest.param("Content-Length: 5, 5", 400, id="two lengths in one"),
        pytest.param("Content-Length: +5", 400, id="a sign"),
        pytest.param("Content-Length: -5", 400, id="a negative length"),
        pytest.param("Content-Length: 5 5", 400, id="a blank in the length"),
        pytest.param("Content-Length: 0x5", 400, id="a hexadecimal length"),
        pytest.param("Content-Length: ", 400, id="no digits"),
        pytest.param("Content-Length: 9999999999999999", 400, id="more than anybody sends"),
        pytest.param("Transfer-Encoding: gzip, chunked", 501, id="two codings"),
        pytest.param("Transfer-Encoding: chunked, chunked", 501, id="chunked twice"),
        pytest.param("Transfer-Encoding: identity", 501, id="no coding"),
        pytest.param("Transfer-Encoding: xchunked", 501, id="a coding that ends like it"),
        pytest.param("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", 400, id="two fields"),
        pytest.param("Transfer-Encoding:\x0bchunked", 400, id="a vertical tab"),
        pytest.param("Transfer-Encoding : chunked", 400, id="a blank before the colon"),
        pytest.param("Expect: everything\r\nContent-Length: 1", 417, id="another expectation"),
    ],
)
def test_a_body_whose_end_two_readers_may_see_differently_is_refused(
    fields: str, status: int
) -> None:
    data = f"POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\nhello".encode()
    assert read_however_cut(data) == ([], status)


def test_chunks_of_the_old_version_are_refused() -> None:
    data = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert read_however_cut(data) == ([], 400)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"x\r\n", 400, id="no size"),
        pytest.param(b"\r\n", 400, id="an empty size"),
        pytest.param(b"-1\r\n", 400, id="a negative size"),
        pytest.param(b"0x5\r\nhello\r\n", 400, id="a prefix"),
        pytest.param(b"5 5\r\n", 400, id="two sizes"),
        pytest.param(b"100000000\r\n", 400, id="more than 32 bits"),
        pytest.param(b"5\nhello\r\n", 400, id="a bare LF behind the size"),
        pytest.param(b"5;a\rb\r\nhello\r\n", 400, id="a bare CR in an extension"),
        pytest.param(b"5\r\nhellox\r\n", 400, id="a chunk too long"),
        pytest.param(b"5\r\nhello\n0\r\n\r\n", 400, id="a bare LF behind the chunk"),
        pytest.param(b"5\r\nhello\rx", 400, id="a bare CR behind the chunk"),
        pytest.param(b"0\r\nno field\r\n\r\n", 400, id="trailers that are none"),
        pytest.param(b"0\r\n folded: x\r\n\r\n", 400, id="a folded trailer"),
        pytest.param(b"0\r\na: b\n\r\n", 400, id="a bare LF in the trailers"),
        pytest.param(b"1;" + b"x" * CHUNK_LINE_BYTES_MAX, 400, id="an endless extension"),
    ],
)
def test_a_malformed_chunk_is_refused_wherever_it_is_cut(body: bytes, status: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    # How much of the body was handed out before depends on how it came.
    data = head + body
    for cut in range(len(head), len(data)):
        assert read(data[:cut], data[cut:])[1] == status
    assert read(*[data[at : at + 1] for at in range(len(data))])[1] == status


def test_what_has_no_end_is_refused_at_its_bound() -> None:
    def parts(start: bytes, more: bytes) -> list[bytes]:
        return [start, *[more] * (2 * HEAD_BYTES_MAX // len(more))]

    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    assert read(*parts(b"GET / HTTP/1.1\r\nX: ", b"y" * 100))[1] == 431
    assert read(*parts(b"GET / HTTP/1.1\r\n", b"X: y\r\n"))[1] == 431
    assert read(*parts(chunked, b"y" * 100))[1] == 431
    assert read(*parts(chunked, b"a: b\r\n"))[1] == 431
    many = b"a: b\r\n" * (FIELDS_MAX + 1)
    assert read(b"GET / HTTP/1.1\r\n" + many + b"\r\n")[1] == 431


def test_a_piece_is_short_however_the_body_was_cut() -> None:
    parser = RequestParser()
    size = 5 * PIECE_BYTES_MAX
    parser.feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
    assert parser.next_request() is not None
    pieces = [parser.next_piece() for _ in range(5)]
    assert [len(piece) for piece in pieces] == [PIECE_BYTES_MAX] * 5
    assert parser.body_done
    parser.feed(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert parser.next_request() is not None
    parser.feed(b"1\r\nx\r\n" * 2 * PIECE_CHUNKS_MAX)
    assert len(parser.next_piece()) <= PIECE_CHUNKS_MAX
    parser.feed(b"%x\r\n" % size + bytes(size))
    while parser.unread:
        assert 0 < len(parser.next_piece()) <= PIECE_BYTES_MAX


def test_nothing_is_taken_apart_before_it_is_asked_for() -> None:
    parser = RequestParser()
    parser.feed(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n")
    assert parser.next_request() is not None
    assert parser.unread == len(b"nonsense\r\n\r\n")
    with pytest.raises(HttpError):
        parser.next_request()
