"""The server of learnd with nothing behind it but reading JSON and answering in JSON, on a route of Flask or without.

`python -m benchmarks.bare PORT PROCESSES flask|wsgi` answers each POST with as many predictions as there are instances.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import orjson
from flask import Flask, Response, request

from service import server
from service.http_server.loop import Application
from service.http_server.reply import Reply
from store.settings import Settings

ANSWER = 12.345678901234567


def route() -> Flask:
    app = Flask("bare", static_folder=None)

    @app.post("/")
    def post() -> Response:
        return Response(_answer(request.get_data()), content_type="application/json")

    return app


def plain(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    content = _answer(environ["wsgi.input"].read())
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


def _answer(body: bytes) -> bytes:
    return orjson.dumps({"predictions": [ANSWER] * len(orjson.loads(body)["instances"]), "model": "small:1"})


def served(wsgi: Callable[..., Any]) -> Application:
    return Application(
        wsgi,
        Path(gettempdir()),
        {"any": 64},
        lambda *_: "any",
        lambda _: 1 << 30,
        lambda status, _: Reply(str(status), [], b"", None, None),
    )


def main(port: int, processes: int, kind: str) -> None:
    settings = Settings(port=port, api_processes=processes)
    application = route() if kind == "flask" else plain
    sys.exit(server.serve_application(settings, lambda: served(application)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
