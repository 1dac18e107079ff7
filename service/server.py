"""`learnd api`: the HTTP server and its processes. Only these, never the one that forks them, load torch."""

import gc
import os
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from service import exposure, stopping
from service.http_server import processes
from service.http_server.limits import Limits
from store import belonging, schema
from store.logs import write_logs
from store.processes import die_with_parent
from store.settings import Settings

if TYPE_CHECKING:
    from service.http_server.loop import Application

LISTENER = "LEARND_LISTENER"  # the number of a listening socket that the parent hands on, in place of host and port


def serve(settings: Settings) -> int:
    """Answer HTTP until SIGTERM or SIGINT; return the exit status. Raise WrongSchema, Exposed, CannotListen."""
    schema.check(settings.database)
    exposure.check(settings)
    write_logs(settings.log_level)
    if reason := belonging.refusal(settings, first=True):
        print(reason, file=sys.stderr)  # noqa: T201
        return 1

    def load() -> "Application":
        application: Application = import_module("service.app").create_application(settings)
        return application

    return serve_application(settings, load)


def serve_application(settings: Settings, load: Callable[[], "Application"]) -> int:
    """Serve what `load` makes in each process: nothing is connected or imported before the fork. Raise CannotListen."""
    number = os.environ.pop(LISTENER, "")
    listener = socket.socket(fileno=int(number)) if number else processes.bind(settings.host, settings.port)
    parent, limits = os.getpid(), Limits()

    def serving(is_ready: processes.Ready) -> None:
        die_with_parent(parent=parent)
        application = load()
        loop = import_module("service.http_server.loop").Loop(application, listener, limits)
        # What is loaded by now stays: looking through it for garbage would hold Python's lock for 100 ms each time.
        gc.collect()
        gc.freeze()
        loop.run(is_ready, stopping.asked.set)

    return processes.run(settings.api_processes, serving, limits.grace_seconds)


if __name__ == "__main__":
    try:
        sys.exit(serve(Settings.from_environment()))
    except (exposure.Exposed, processes.CannotListen, schema.WrongSchema) as reason:
        print(reason, file=sys.stderr)  # noqa: T201 - for who typed the command
        sys.exit(2 if isinstance(reason, exposure.Exposed) else 1)
