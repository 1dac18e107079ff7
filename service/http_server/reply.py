"""One call of a WSGI application, made in a thread: its head, its first bytes, and what is still to come."""

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

from service.http_server.request import Environ

Headers = list[tuple[str, str]]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

WHOLE_BYTES = 256 << 10  # an answer up to this is put together at once, and needs its thread no more


class Reply:
    """The answer of the application. `rest` is None once nothing more is to come."""

    __slots__ = ("_close", "first", "headers", "length", "rest", "status")

    def __init__(self, status: str, headers: Headers, first: bytes, rest: Iterator[bytes] | None, close: Any) -> None:
        self.status = status
        self.headers = headers
        self.first = first
        self.rest = rest
        self.length = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
        self._close = close

    def is_stream(self) -> bool:
        """Return whether more is to come, and nobody knows how much."""
        return self.rest is not None and self.length is None

    def next_piece(self) -> bytes | None:
        """Return the next bytes, or None after the last. Raise what the application raises."""
        if self.rest is None:
            return None
        piece = next(self.rest, None)
        if piece is None:
            self.close()
        return piece

    def close(self) -> None:
        """Tell the application that nobody asks for the rest."""
        self.rest = None
        close, self._close = self._close, None
        if close is not None:
            close()


def call(wsgi: Wsgi, environ: Environ) -> Reply:
    """Call the application and return its answer, put together if it is short. Raise what the application raises."""
    started: list[Any] = []

    def start(status: str, headers: Headers, exc_info: Any = None) -> None:  # noqa: ARG001 - nothing is sent before
        started[:] = status, headers

    result = wsgi(environ, start)
    if isinstance(result, list):
        status, headers = started
        return Reply(status, headers, b"".join(result), None, None)
    close = getattr(result, "close", None)
    try:
        pieces = iter(result)
        first = next(pieces, b"")
        status, headers = started
        reply = Reply(status, headers, first, pieces, close)
        if reply.length is not None and reply.length <= WHOLE_BYTES:
            gathered = [first, *pieces]
            reply.first = b"".join(gathered)
            reply.close()
    except BaseException:
        if close is not None:
            close()
        raise
    return reply


def head(reply: Reply, more: Headers) -> bytes:
    """Return the status line and the headers. Raise ValueError for a line break inside of one."""
    lines = [f"HTTP/1.1 {reply.status}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    lines += [f"{name}: {value}" for name, value in more]
    text = "\r\n".join(lines)
    if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1:
        raise ValueError("a header of an answer holds a line break")
    return text.encode("latin-1") + b"\r\n\r\n"


def status_line(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
