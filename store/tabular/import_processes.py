"""Imports done in processes of their own: a file that ends its reader, or asks too much of it, harms nobody else."""

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from store.errors import Full, StoreError, Unavailable, UnreadableTable
from store.tabular.declarations import Format, ImportedTable, ImportOptions
from store.tabular.importer import SECONDS

log = structlog.get_logger(__name__)

_MEBIBYTE = 1 << 20
_SPARE_SECONDS = 10.0  # past an import's time before its parent is taken to be stuck
_WORDS = {
    "SIGXCPU": "the file could not be read: it takes more work than a file of its size may",
    "late": "the file could not be read: it takes too long",
}


class Crowded(Unavailable):
    """So many imports are under way that this one did not come to its turn in time."""


class ImportEnded(Unavailable):
    """The process that made the import was ended from outside: by the kernel for want of memory, or by somebody."""


class ImportFailed(StoreError):
    """A mistake of this program, whatever the file was; `trace` is where, in the process that made the import."""

    def __init__(self, trace: str) -> None:
        super().__init__(f"the import failed:\n{trace}")
        self.trace = trace


@dataclass(frozen=True)
class Limits:
    """What an import may take; processor time by the size of the table."""

    rows: int
    columns: int
    bytes: int
    memory_bytes: int = 1 << 30
    seconds: float = 60.0  # 10,000 columns of two rows take 12
    seconds_per_byte: float = 1 / (2 * _MEBIBYTE)
    wall_seconds: float = 840.0


class ImportProcesses:
    """Imports tables, at most so many at once; the others wait for their turn, but no longer than `patience`."""

    def __init__(self, most: int, limits: Limits, patience: float = 30.0) -> None:
        self._places = threading.BoundedSemaphore(most)
        self._limits = limits
        self._patience = patience

    def run(self, path: Path, format: Format, options: ImportOptions, out: Path) -> ImportedTable:
        """Do as `import_table`; what was written beside `out` may stay if the import died.

        Raise UnreadableTable, Full, Crowded, ImportEnded, ImportFailed.
        """
        job = {
            "path": str(path.absolute()),
            "format": format,
            "options": asdict(options),
            "out": str(out.absolute()),
            "limits": asdict(self._limits),
        }
        with self._turn(), _parent().child(self._limits.wall_seconds) as connection:
            return _result(connection, job)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(timeout=self._patience):
            raise Crowded("other imports took all the time")
        try:
            yield
        finally:
            self._places.release()


def start() -> None:
    """Start the parent of the import processes, so that the first import need not wait for it."""
    _parent()


class _Parent:
    """The process that forks the others."""

    def __init__(self) -> None:
        self.started_by = os.getpid()
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - the command is our own
                # -P: a folder called `store` where the user happens to stand is not ours.
                [sys.executable, "-P", "-m", "store.tabular.importer", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=sys.__stderr__ if sys.__stderr__ is not None else subprocess.DEVNULL,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # a process that forks must have one thread
            )

    def is_running(self) -> bool:
        return self.started_by == os.getpid() and self._process.poll() is None

    @contextmanager
    def child(self, seconds: float) -> Iterator[socket.socket]:
        ours, theirs = socket.socketpair()
        ours.settimeout(seconds + _SPARE_SECONDS)
        with ours:
            with theirs, self._lock:
                try:
                    socket.send_fds(self._control, [SECONDS.pack(seconds)], [theirs.fileno()])
                except OSError:  # it has just died, and `ours` tells it
                    log.warning("the import process is gone")
            yield ours

    def end(self) -> None:
        """Let it end, with all its children."""
        self._control.close()
        if self.started_by == os.getpid():
            self._process.kill()
            self._process.wait()


_starting = threading.Lock()
_parents: list[_Parent] = []  # one at most


def _parent() -> _Parent:
    with _starting:
        if not _parents or not _parents[0].is_running():
            while _parents:
                _parents.pop().end()
            _parents.append(_Parent())
        return _parents[0]


@atexit.register
def _end() -> None:
    while _parents:
        _parents.pop().end()


def _result(connection: socket.socket, job: dict[str, Any]) -> ImportedTable:
    columns: list[dict[str, Any]] = []
    try:
        connection.sendall(json.dumps(job).encode() + b"\n")
        # A line at a time: to decode all of a wide table at once would hold Python's lock for long.
        for line in connection.makefile("rb"):
            message = _decoded(line)
            if "column" in message and len(message) == 1:
                columns.append(message["column"])
            elif message:
                return _ended(message, columns, job)
    except OSError as error:
        raise ImportEnded("the import process does not answer") from error
    raise ImportEnded("the import process ended")


def _decoded(line: bytes) -> dict[str, Any]:
    """Return the message; empty for what is left of a line within which its sender died."""
    try:
        message: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return message


def _ended(message: dict[str, Any], columns: list[dict[str, Any]], job: dict[str, Any]) -> ImportedTable:
    match message:
        case {"rows": rows, "warnings": warnings}:
            return ImportedTable(rows, columns, warnings)
        case {"unreadable": reason, "line": line, "column": column}:
            raise UnreadableTable(reason, line, column)
        case {"unreadable": reason}:
            raise UnreadableTable(reason)
        case {"full": reason}:
            raise Full(reason)
        case {"broken": reason}:
            log.warning("an import could not read its file", format=job["format"], reason=reason)
            raise UnreadableTable(f"the file could not be read: it is not a sound {job['format']} file")
        case {"failed": trace}:
            raise ImportFailed(trace)
        case {"died": "SIGKILL" | "SIGTERM"}:
            raise ImportEnded("the import process was killed")
        case {"died": death}:
            log.warning("an import process died", format=job["format"], death=death)
            raise UnreadableTable(
                _WORDS.get(death, f"the file could not be read: it is not a sound {job['format']} file")
            )
    raise ImportEnded("the import process made no sense")
