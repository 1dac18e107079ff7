"""A small application on the real server: `python -m tests.service.http_server.echo LIMITS FOLDER` prints its port."""

import json
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from service.http_server.limits import Limits
from service.http_server.loop import Application, Loop
from service.http_server.processes import bind
from service.http_server.reply import Reply, status_line

MOST = 1 << 20
PIECE = b"p" * 100_000


def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/stream":
        start("200 OK", [("Content-Type", "text/plain")])
        return pieces()
    if path == "/large":
        start("200 OK", [("Content-Length", str(100 * len(PIECE)))])
        return iter([PIECE] * 100)
    if path == "/whole":
        start("200 OK", [("Content-Length", str(1 << 22))])
        return iter([bytes(1 << 22)])
    if path == "/broken":
        start("200 OK", [("Content-Type", "text/plain")])
        return broken()
    if path == "/slow":
        time.sleep(0.5)
    body = environ["wsgi.input"].read()
    told = {
        "method": environ["REQUEST_METHOD"],
        "path": path,
        "query": environ["QUERY_STRING"],
        "length": len(body),
        "declared": environ.get("CONTENT_LENGTH"),
        "headers": {name: value for name, value in environ.items() if name.startswith("HTTP_")},
        "in_file": isinstance(getattr(environ["wsgi.input"], "name", None), str),
    }
    content = json.dumps(told).encode()
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


def pieces() -> Iterator[bytes]:
    for _ in range(1_000):
        yield PIECE


def broken() -> Iterator[bytes]:
    yield b"half of it"
    raise RuntimeError("the other half cannot be made")


def wants(environ: dict[str, Any]) -> int | None:
    return None if environ["PATH_INFO"] == "/refused" else MOST


def refusal(status: int, detail: str) -> Reply:
    content = json.dumps({"status": status, "detail": detail}).encode()
    return Reply(status_line(status), [("Content-Type", "application/problem+json")], content, None, None)


def main(limits: str, folder: str) -> None:
    listener: socket.socket = bind("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    served = Application(application, Path(folder), {"any": 4}, lambda *_: "any", wants, refusal)
    Loop(served, listener, Limits(**json.loads(limits))).run(lambda: None, lambda: None)


if __name__ == "__main__":
    main(*sys.argv[1:])
