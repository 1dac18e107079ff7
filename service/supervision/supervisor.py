"""`learnd up`: the broker, the API, a worker and the reconciler on one machine, started together and stopped together,
however this process ends.
"""

import fcntl
import http.client
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from pathlib import Path

import click

from service import exposure, server
from service.http_server.processes import CannotListen, bind
from service.supervision.embedded_valkey import command, find_server, private_folder, socket_in
from service.supervision.signals import Signals
from service.supervision.supervised import Supervised
from store import belonging
from store.durable import close_to_others
from store.migrating import upgrade
from store.processes import BACKGROUND_NICENESS
from store.schema import WrongSchema
from store.settings import Settings

_LOOK_SECONDS = 0.5
_LOOK_STARTING_SECONDS = 0.05
_STARTS = 5  # a part that dies this often before the first answer will not come up
_API_STOP_SECONDS = 7.0  # its own grace, and a moment
_GRACE_SECONDS = 3.0
_PORT_SECONDS = 3.0  # for the parts of a supervisor killed a moment ago to let go of theirs
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (where to ask, not where to listen)


class CannotStart(Exception):
    """Why the service cannot start, in words for whoever typed the command."""


def up(settings: Settings) -> None:
    """Run everything until SIGINT or SIGTERM. Raises CannotStart, NoValkey, Exposed, Unavailable."""
    with ExitStack() as stack:
        signals = stack.enter_context(Signals())
        settings = replace(settings, data_dir=stack.enter_context(_locked(settings.data_dir.resolve())))
        listener = stack.enter_context(_listening(settings.host, settings.port))
        settings = replace(settings, port=listener.getsockname()[1])
        parts = []
        if not settings.redis_url:
            folder = stack.enter_context(private_folder(settings.data_dir))
            settings = replace(settings, redis_url=f"redis+socket://{socket_in(folder)}")
            broker = Supervised(
                "broker", command(find_server(), folder), os.environ, _GRACE_SECONDS, socket=socket_in(folder)
            )
            parts.append(broker)
        _upgrade(settings.database)
        exposure.check(settings)
        if reason := belonging.refusal(settings, first=True):
            raise CannotStart(reason)
        parts += _own_parts(settings, listener)
        try:
            _supervise(parts, settings, signals)
        finally:
            click.echo("stopping", err=True)
            listener.close()  # once the API has ended too, callers are refused and do not wait
            # The runs go back to the queue while the API refuses new ones; the broker they all talk to goes last.
            _stop([part for part in parts if part.name != "broker"], signals)
            _stop(parts, signals)


def _own_parts(settings: Settings, listener: socket.socket) -> list[Supervised]:
    # -P: a folder called `service` or `workers` where the user happens to stand is not ours.
    python = [sys.executable, "-P", "-m"]
    values = {f"LEARND_{each.name.upper()}": str(getattr(settings, each.name)) for each in fields(settings)}
    environment = {**os.environ, **values}
    api = {**environment, server.LISTENER: str(listener.fileno())}
    return [
        Supervised("API", [*python, "service.server"], api, _API_STOP_SECONDS, listener=listener.fileno()),
        Supervised(
            "worker",
            [*python, "workers"],
            environment,
            settings.drain_seconds + _GRACE_SECONDS,
            niceness=BACKGROUND_NICENESS,
        ),
        Supervised("reconciler", [*python, "workers.reconciler"], environment, _GRACE_SECONDS),
    ]


def _supervise(parts: Sequence[Supervised], settings: Settings, signals: Signals) -> None:
    """Keep all parts running until asked to stop; say the address once the API answers that it is ready."""
    answering = False
    while not signals.stop_asked(_LOOK_SECONDS if answering else _LOOK_STARTING_SECONDS):
        for part in parts:
            if part.tend():
                click.echo(f"the {part.name} ended with {part.exit_code}; it is started again", err=True)
                if not answering and part.deaths >= _STARTS:
                    raise CannotStart(f"the {part.name} does not start; its reason stands above")
        if not answering and _ready(settings):
            answering = True
            click.echo(_address(settings))
            click.echo("learnd is up; Ctrl-C stops it", err=True)


def _stop(parts: Sequence[Supervised], signals: Signals) -> None:
    """Ask, wait for each as long as it may take, then kill. A second signal kills at once."""
    asked_at = time.monotonic()
    for part in parts:
        part.ask_to_stop()
    while running := [part for part in parts if part.is_running()]:
        impatient = signals.stop_asked(_LOOK_STARTING_SECONDS)
        for part in running:
            if impatient or time.monotonic() - asked_at > part.stop_seconds:
                part.kill()


@contextmanager
def _locked(data_dir: Path) -> Iterator[Path]:
    """The data folder, made if missing, for one supervisor alone."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        close_to_others(data_dir)
        file = (data_dir / "lock").open("w")
    except OSError as error:
        raise CannotStart(f"cannot use the folder {data_dir}: {error.strerror}; see --data-dir") from None
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"another learnd is using {data_dir}; choose another with --data-dir") from None
        yield data_dir


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Hold the port from now on to the end, a free one for 0: the API gets this very socket, however often it starts.

    Raise CannotStart where another has it, or the host is none of this machine's.
    """
    deadline = time.monotonic() + _PORT_SECONDS
    while True:
        try:
            listener = bind(host, port)
            break
        except CannotListen as reason:
            if not reason.is_taken or time.monotonic() > deadline:
                raise CannotStart(f"{reason}; see {'--port' if reason.is_taken else '--host'}") from None
            time.sleep(_LOOK_STARTING_SECONDS)
    with listener:
        yield listener


def _upgrade(url: str) -> None:
    """Bring the tables to this version. Raise CannotStart for those of a newer one, and Unavailable."""
    try:
        upgrade(url)
    except WrongSchema as reason:
        raise CannotStart(str(reason)) from None


def _address(settings: Settings) -> str:
    host = _EVERYWHERE.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _ready(settings: Settings) -> bool:
    connection = http.client.HTTPConnection(_EVERYWHERE.get(settings.host, settings.host), settings.port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
