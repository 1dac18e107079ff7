"""What is a request, what is none, and what the application hears of it."""

import json
import socket

import pytest

from tests.service.http_server.conftest import Served, wait_for

HOST = b"Host: localhost\r\n"
LAST = b"Connection: close\r\n"


def get(path: bytes, *headers: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    return b"%b %b HTTP/%b\r\n%b%b\r\n" % (method, path, version, HOST, b"".join(each + b"\r\n" for each in headers))


def test_request_is_told_as_wsgi_has_it(served: Served) -> None:
    (answer,) = served.ask(get(b"/a%20b/%C3%A9?x=%20&y", b"X-One: 1", b"x-one: 2", b"Connection: close"))
    told = answer.json()
    assert (told["method"], told["path"], told["query"]) == ("GET", "/a b/Ã©", "x=%20&y")
    assert told["headers"] == {"HTTP_HOST": "localhost", "HTTP_X_ONE": "1,2"}


def test_header_with_underscore_cannot_pass_for_another(served: Served) -> None:
    (answer,) = served.ask(get(b"/", b"X_Request_Id: forged", b"Connection: close"))
    assert answer.json()["headers"] == {"HTTP_HOST": "localhost"}


def test_pipelined_requests_are_answered_in_their_order(served: Served) -> None:
    sent = b"".join(get(b"/slow" if place == 0 else b"/%d" % place) for place in range(20))
    found = served.ask(sent + get(b"/last", b"Connection: close"))
    assert [each.json()["path"] for each in found] == ["/slow", *(f"/{place}" for place in range(1, 20)), "/last"]


def test_too_many_pipelined_requests_end_the_connection(served: Served) -> None:
    found = served.ask(get(b"/") * 1_000)
    assert len(found) < 200


@pytest.mark.parametrize("size", [0, 1, 70_000, 700_000])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_body_arrives_whole(served: Served, size: int, is_chunked: bool) -> None:
    body = bytes(size)
    if is_chunked:
        step = max(1, size // 7)
        chunks = [body[first : first + step] for first in range(0, size, step)]
        content = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks) + b"0\r\nX-Trailer: 1\r\n\r\n"
        framing = b"Transfer-Encoding: chunked"
    else:
        content, framing = body, b"Content-Length: %d" % size
    (answer,) = served.ask(get(b"/", framing, b"Connection: close", method=b"POST") + content)
    told = answer.json()
    assert (told["length"], told["declared"]) == (size, str(size) if size or not is_chunked else None)
    assert told["in_file"] == (size == 700_000)
    assert "HTTP_X_TRAILER" not in told["headers"]
    wait_for(lambda: not served.folder.exists() or not list(served.folder.iterdir()), 1)


def test_client_that_ends_its_side_after_a_request_is_answered(served: Served) -> None:

    with served.connect() as connection:
        connection.sendall(get(b"/slow"))
        connection.shutdown(socket.SHUT_WR)
        assert b"/slow" in connection.recv(1 << 16)
        assert connection.recv(1) == b""


def test_continue_is_said_where_the_body_is_wanted(served: Served) -> None:
    head = get(b"/", b"Content-Length: 5", b"Expect: 100-continue", b"Connection: close", method=b"POST")
    with served.connect() as connection:
        connection.sendall(head)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello")
        assert b'"length": 5' in connection.recv(1 << 16)
    with served.connect() as connection:
        connection.sendall(head.replace(b"POST /", b"POST /refused"))
        assert connection.recv(100).startswith((b"HTTP/1.1 500", b"HTTP/1.1 413"))


@pytest.mark.parametrize(
    "framing",
    [b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk", b"Upgrade: websocket"],
)
@pytest.mark.parametrize("body", [b"", b"hello"])
def test_another_protocol_that_is_offered_is_not_spoken(served: Served, framing: bytes, body: bytes) -> None:
    length = b"Content-Length: %d" % len(body)
    method = b"POST" if body else b"GET"
    (answer,) = served.ask(get(b"/", framing, length, b"Connection: close", method=method) + body)
    assert (answer.status, answer.json()["length"]) == (200, len(body))


@pytest.mark.parametrize(
    ("version", "header", "stays"),
    [(b"1.1", b"", True), (b"1.1", LAST, False), (b"1.0", b"", False), (b"1.0", b"Connection: keep-alive\r\n", True)],
)
def test_connection_stays_open_as_the_version_says(served: Served, version: bytes, header: bytes, stays: bool) -> None:
    with served.connect() as connection:
        connection.settimeout(1)
        connection.sendall(b"GET / HTTP/%b\r\n%b%b\r\n" % (version, HOST, header))
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")
        if stays:
            with pytest.raises(TimeoutError):
                connection.recv(1)
        else:
            assert connection.recv(1) == b""


def test_head_has_no_body_and_the_length_of_get(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(get(b"/large", b"Connection: close", method=b"HEAD"))
        found = b""
        while piece := connection.recv(1 << 16):
            found += piece
    assert found.endswith(b"\r\n\r\n")
    assert b"Content-Length: 10000000\r\n" in found


def test_absolute_target_names_its_host(served: Served) -> None:
    (answer,) = served.ask(get(b"http://example.test:81/a?b=1", b"Connection: close"))
    told = answer.json()
    assert (told["path"], told["query"], told["headers"]["HTTP_HOST"]) == ("/a", "b=1", "example.test:81")


NO_REQUESTS = {
    "words": b"hello\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no_host": b"GET / HTTP/1.1\r\n\r\n",
    "two_hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two_lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length_and_chunked": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    "negative_length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "length_of_letters": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1a\r\n\r\na",
    "huge_length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\na",
    "not_chunked_last": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunk_size_of_letters": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n",
    "chunk_too_long": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    "space_before_colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "folded": b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
    "nul": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    "bare_cr": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    "connect": b"CONNECT example.test:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "expectation": b"POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\na",
    "many_headers": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 200 + b"\r\n",
    "long_header": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    "long_target": b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "endless_header": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 400_000,
}


@pytest.mark.parametrize("name", NO_REQUESTS)
def test_what_is_no_request_is_refused_as_a_problem(served: Served, name: str) -> None:
    found = served.ask(NO_REQUESTS[name])
    assert len(found) == 1
    assert 400 <= found[0].status < 500
    assert found[0].headers["content-type"] == "application/problem+json"
    assert found[0].headers["connection"] == "close"
    assert json.loads(found[0].body)["status"] == found[0].status


def test_stream_that_breaks_cannot_be_taken_for_whole(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(get(b"/broken"))
        found = b""
        try:
            while piece := connection.recv(1 << 16):
                found += piece
        except ConnectionResetError:
            pass
    assert b"half of it" in found
    assert not found.endswith(b"0\r\n\r\n")


def test_large_answers_arrive_whole(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(get(b"/stream", b"Connection: close"))
        found = bytearray()
        while piece := connection.recv(1 << 20):
            found += piece
    assert found.endswith(b"\r\n0\r\n\r\n")
    assert found.count(b"p" * 100_000) == 1_000
