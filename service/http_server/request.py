"""One request: its head, its body as far as it has come, and the WSGI environment made of both."""

import io
import sys
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes, urlsplit

from werkzeug.exceptions import RequestEntityTooLarge

from service.http_server.body import Body, NotStored
from service.http_server.limits import Limits

Environ = dict[str, Any]

_NO_PREFIX = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
_LEFT_OUT = frozenset({"content-length", "transfer-encoding", "expect", "connection", "upgrade", "http2-settings"})
_NAMES: dict[bytes, str] = {}  # of headers as WSGI spells them; a caller can add only so many
_MOST_NAMES = 1_024


class BadHead(Exception):
    """The head says what no request may say; the status and the reason."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Request:
    """What has come of one request. `is_whole` once its last byte has come, and never before."""

    __slots__ = (
        "body",
        "dropped",
        "expects_continue",
        "has_head",
        "head_bytes",
        "headers",
        "is_answered",
        "is_given",
        "is_refused",
        "is_whole",
        "keep_alive",
        "length",
        "limit",
        "method",
        "target",
        "version",
    )

    def __init__(self, body: Body) -> None:
        self.body = body
        self.method = ""
        self.target = b""
        self.version = "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        self.head_bytes = 0
        self.length: int | None = None  # of the body, as declared; None: chunked, or none
        self.limit: int | None = None  # of the body, once the application has said how much it takes
        self.dropped = 0  # bytes of a body that nobody wants
        self.expects_continue = False
        self.keep_alive = False
        self.has_head = False
        self.is_whole = False
        self.is_refused = False  # its body is not wanted
        self.is_given = False  # to the application
        self.is_answered = False

    def excess(self, limits: Limits) -> BadHead | None:
        """Return what is wrong with a head that is too large; None for any other."""
        if len(self.headers) > limits.headers:
            return BadHead(431, f"A request has at most {limits.headers} headers.")
        if self.head_bytes > limits.head_bytes:
            return BadHead(431, f"The request line and the headers have at most {limits.head_bytes} bytes.")
        return None

    def end_head(self, method: str, version: str, *, keep_alive: bool) -> None:
        """Take what the parser says at the end of the head. Raise BadHead."""
        self.method, self.version, self.keep_alive = method, version, keep_alive
        self.has_head = True
        hosts = 0
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                self.length = int(value)
            elif name == b"expect":
                if value.lower() != b"100-continue":
                    raise BadHead(417, "The only expectation that is met is 100-continue.")
                self.expects_continue = version == "1.1"
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            raise BadHead(400, "A request has one Host header.")
        if method == "CONNECT":
            raise BadHead(405, "CONNECT is not possible here.")

    def _stream(self) -> BinaryIO | io.RawIOBase:
        try:
            return self.body.open()
        except NotStored as error:
            return _Unread(error.error)

    def without_upgrade(self) -> bytes:
        """Return the head as it would be if no other protocol were offered."""
        lines = [b"%b %b HTTP/%b" % (self.method.encode("latin-1"), self.target, self.version.encode("latin-1"))]
        for name, value in self.headers:
            if name == b"connection":
                value = b"close" if b"close" in value.lower() else b"keep-alive"  # noqa: PLW2901 - it is sent so
            if name != b"upgrade":
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def environ(self, server: tuple[str, str], client: str, *, is_refused: bool) -> Environ:
        """Return the WSGI environment (PEP 3333): with the whole body, or without where that is not wanted."""
        path, query, host = _parts_of(self.target)
        stream = _Unread(self.body.error) if is_refused else self._stream()
        found: Environ = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_URI": self.target.decode("latin-1"),
            "SERVER_NAME": server[0],
            "SERVER_PORT": server[1],
            "SERVER_PROTOCOL": f"HTTP/{self.version}",
            "REMOTE_ADDR": client,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": stream,
            "wsgi.input_terminated": True,
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        _add_headers(found, self.headers)
        if host is not None:
            found["HTTP_HOST"] = host
        if not is_refused:
            if self.body.size or self.length is not None:
                found["CONTENT_LENGTH"] = str(self.body.size)
        elif self.length is not None:
            found["CONTENT_LENGTH"] = str(self.length)
        return found


class _Unread(io.RawIOBase):
    """The body of a request that is answered without it. An application that reads it all the same is told why."""

    def __init__(self, error: OSError | None) -> None:
        super().__init__()
        self._error = error  # that kept it from being stored

    def readable(self) -> bool:
        return True

    def readinto(self, _: Any) -> int:
        raise NotStored(self._error) if self._error is not None else RequestEntityTooLarge()


def _parts_of(target: bytes) -> tuple[str, str, str | None]:
    """Return the path as WSGI wants it, the query, and the host that an absolute target names."""
    host = None
    if not target.startswith(b"/"):
        parts = urlsplit(target.decode("latin-1"))
        host = parts.netloc or None
        target = (parts.path or "/").encode("latin-1") + (b"?" + parts.query.encode("latin-1") if parts.query else b"")
    path, _, query = target.partition(b"#")[0].partition(b"?")
    if b"%" in path:
        path = unquote_to_bytes(path)
    return path.decode("latin-1"), query.decode("latin-1"), host


def _add_headers(environ: Environ, headers: list[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        key = _NAMES.get(name) or _named(name)
        if not key:
            continue
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text


def _named(name: bytes) -> str:
    """Return a header's WSGI name; "" for one that is the server's own business, or that could pass for another."""
    text = name.decode("latin-1")
    if text in _LEFT_OUT or "_" in text:
        return ""
    key = _NO_PREFIX.get(text) or "HTTP_" + text.upper().replace("-", "_")
    if len(_NAMES) < _MOST_NAMES:
        _NAMES[name] = key
    return key
