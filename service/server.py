"""`learnd api`: the HTTP server and its processes. Only these, never the one that forks them, load torch."""

import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import Server
from granian.server.common import AbstractServer

from service import exposure, stopping
from store.logs import write_logs
from store.processes import die_with_parent
from store.settings import Settings

_THREADS = 32  # requests answered at once by one process; each `?wait=` holds one, an event stream has its own
_STOP_SECONDS = 4


def serve(settings: Settings) -> None:
    """Answer HTTP until SIGTERM or SIGINT. Raises `exposure.Exposed`."""
    exposure.check(settings)
    write_logs(settings.log_level)
    made(settings).serve(target_loader=partial(_load, settings, os.getpid()), wrap_loader=False)


def made(settings: Settings) -> AbstractServer[Any]:
    """The server, with nothing in it yet."""
    return Server(
        "service.app:create_app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=settings.api_processes,
        blocking_threads=_THREADS + settings.max_streams,
        respawn_failed_workers=True,
        workers_kill_timeout=_STOP_SECONDS,
        log_level=LogLevels.error,  # a warning says that so many threads are many; most of them only wait
        log_dictconfig={"loggers": {"_granian": {"propagate": True}}},  # into our log, not a format of its own
    )


def _load(settings: Settings, parent: int) -> Callable[..., Any]:
    """The application, made in the process that serves it: nothing is connected or imported before the fork."""
    die_with_parent(parent=parent)
    stopping.watch()
    application: Callable[..., Any] = import_module("service.app").create_app(settings)
    return application


if __name__ == "__main__":
    try:
        serve(Settings.from_environment())
    except exposure.Exposed as reason:
        print(reason, file=sys.stderr)  # noqa: T201 - for whoever typed the command
        sys.exit(2)
