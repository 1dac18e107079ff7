"""Clients that stall are cut off in time, hold no thread meanwhile, and leave nothing."""

import random
import socket
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.service.http_server.conftest import Served, answers, everything, wait_for

HOST = b"Host: localhost\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST
RESET = struct.pack("ii", 1, 0)
CUTS = 50


def cut(connection: socket.socket, how: str) -> None:
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()
    elif how == "end":
        connection.shutdown(socket.SHUT_WR)
        assert not any(each.status < 400 for each in answers(everything(connection)))
        connection.close()
    else:
        connection.close()


@pytest.mark.parametrize("how", ["end", "reset", "close"])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_body_that_ends_early_reaches_nobody(served: Served, how: str, is_chunked: bool) -> None:
    draw = random.Random(f"{how} {is_chunked}")
    body = draw.randbytes(600_000)
    if is_chunked:
        content = b"".join(
            b"%x\r\n%b\r\n" % (50_000, body[first : first + 50_000]) for first in range(0, 600_000, 50_000)
        )
        content = POST + b"Transfer-Encoding: chunked\r\n\r\n" + content + b"0\r\n\r\n"
    else:
        content = POST + b"Content-Length: 600000\r\n\r\n" + body
    for _ in range(CUTS):
        connection = served.connect()
        connection.sendall(content[: draw.randrange(1, len(content))])
        cut(connection, how)
    wait_for(lambda: not served.folder.exists() or not list(served.folder.iterdir()), 1)
    (answer,) = served.ask(POST + b"Connection: close\r\nContent-Length: 2\r\n\r\nab")
    assert answer.json()["length"] == 2


def test_slow_heads_and_bodies_end_with_408(serve: Callable[..., Served]) -> None:
    served = serve(head_seconds=0.5, body_seconds=0.5)
    for sent in (b"", b"GET", b"GET / HTTP/1.1\r\n" + HOST, POST + b"Content-Length: 5\r\n\r\nab"):
        with served.connect() as connection:
            connection.sendall(sent)
            began = time.monotonic()
            found = answers(everything(connection))
            assert 0.3 < time.monotonic() - began < 5
            assert [each.status for each in found] == ([408] if sent else [])


def test_body_that_keeps_its_pace_may_take_long(serve: Callable[..., Served]) -> None:
    served = serve(body_seconds=0.5, body_bytes=100)
    with served.connect() as connection:
        connection.sendall(POST + b"Connection: close\r\nContent-Length: 20000\r\n\r\n")
        for _ in range(20):
            connection.sendall(bytes(1_000))
            time.sleep(0.1)  # the pace of the client is what is tested
        (answer,) = answers(everything(connection))
    assert answer.json()["length"] == 20_000


def test_idle_connections_end(serve: Callable[..., Served]) -> None:
    served = serve(idle_seconds=0.5)
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert everything(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n" + HOST,
        POST + b"Content-Length: 1000000\r\n\r\n" + bytes(300_000),
        POST.replace(b"/", b"/refused", 1) + b"Content-Length: 1000000\r\n\r\n",
        b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /whole HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
    ids=["head", "body", "refused", "stream", "answer"],
)
def test_stalled_clients_keep_nobody_waiting(served: Served, sent: bytes) -> None:
    """The application has four threads; a hundred clients that stall take none of them."""
    before = served.memory()
    with ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", served.port))
            connection.sendall(sent)
        for _ in range(20):
            began = time.monotonic()
            (answer,) = served.ask(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
            assert answer.status == 200
            assert time.monotonic() - began < 1
        assert served.memory() - before < 100 << 20


def test_reader_that_takes_nothing_is_cut_off(serve: Callable[..., Served]) -> None:
    served = serve(write_seconds=0.5)
    with served.connect() as connection:
        connection.sendall(b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n")
        time.sleep(2)  # in which nothing is read
        assert len(everything(connection)) < 100_000 * 1_000


def test_reader_that_is_only_slow_gets_all(serve: Callable[..., Served]) -> None:
    served = serve(write_seconds=0.5)
    with served.connect() as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
        found = 0
        while piece := connection.recv(1 << 18):
            found += len(piece)
            time.sleep(0.03)  # the pace of the client is what is tested
    assert found > 10_000_000


def test_full_house_makes_room_for_who_comes(serve: Callable[..., Served]) -> None:
    served = serve(connections=20)
    with ExitStack() as stack:
        stalled = [stack.enter_context(served.connect()) for _ in range(40)]
        (answer,) = served.ask(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert answer.status == 200
        assert everything(stalled[0]) == b""


def test_refused_client_reads_the_answer_before_it_has_sent_its_body(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(POST.replace(b"/", b"/refused", 1) + b"Content-Length: 5000000\r\n\r\n" + bytes(10_000))
        assert connection.recv(100).startswith(b"HTTP/1.1 500")  # the application read it all the same
