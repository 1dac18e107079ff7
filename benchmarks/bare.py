"""The bare route: the HTTP server of learnd with nothing behind it but the parsing of JSON and an answer in JSON.

`python -m benchmarks.bare PORT PROCESSES` answers each POST with as many predictions as there are instances.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from service import server
from store.settings import Settings

ANSWER = 12.345678901234567


def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    asked = orjson.loads(environ["wsgi.input"].read())
    content = orjson.dumps({"predictions": [ANSWER] * len(asked["instances"]), "model": "small:1"})
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


def main(port: int, processes: int) -> None:
    settings = Settings(port=port, api_processes=processes)
    server.made(settings).serve(target_loader=lambda *_: answer, wrap_loader=False)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
