"""The process that imports tables: a parent that has everything loaded, and a child of it for each table.

A process that wants a table imported starts the parent once, with a socket as its only way in, and sends it one end
of a new socket for each table. The child that is forked for it reads the job there, as one line of JSON, and answers
in lines of JSON: one with each column, then one with the rest, or one with what was wrong. If the child dies or runs
out of time, the parent says so in its place. When the sender closes its end, the child ends; without its sender the
parent ends, and with the parent all children.
"""

import gc
import json
import os
import resource
import selectors
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from store.errors import Full, UnreadableTable
from store.processes import BACKGROUND_NICENESS, die_with_parent
from store.tabular.declarations import ImportOptions
from store.tabular.importing import import_table

SECONDS = struct.Struct("!d")  # that a child may take, sent along with its socket
# Thrice DuckDB's own memory, and what the libraries take before a byte is read: a column of 50 million rows is there
# twice in numpy beside it, and such a table took 2.8 GiB in all.
_TIMES_MEMORY = 3
_BASE_BYTES = 256 << 20
# SQL of ours that does not hold, whatever the file.
_OWN_MISTAKES = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.SyntaxException)
_LONGEST_REASON = 300  # characters of what DuckDB says, for the log
_FIRST_TO_BE_KILLED = "800"  # of 1000, should the machine run out of memory


@dataclass(frozen=True)
class _Running:
    connection: socket.socket
    until: float


def serve(control: socket.socket) -> None:
    """Fork a child for each socket that comes, until the other side is gone."""
    _load()
    wake, woken = socket.socketpair()
    for end in (wake, woken):
        end.setblocking(False)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, _Running] = {}
    with selectors.DefaultSelector() as ready:
        ready.register(control, selectors.EVENT_READ)
        ready.register(wake, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select(_patience(running)):
                if key.fileobj is wake:
                    wake.recv(4096)
                    continue
                told, descriptors, _, _ = socket.recv_fds(control, SECONDS.size, 1)
                if not told:
                    return
                connection = socket.socket(fileno=descriptors[0])
                parent = os.getpid()
                pid = os.fork()
                if pid == 0:
                    die_with_parent(parent=parent)
                    _forget([control, wake, woken, *(each.connection for each in running.values())])
                    _child(connection)
                running[pid] = _Running(connection, time.monotonic() + SECONDS.unpack(told)[0])
            _look(running)


def _patience(running: Mapping[int, _Running]) -> float | None:
    if not running:
        return None
    return max(0.0, min(each.until for each in running.values()) - time.monotonic())


def _look(running: dict[int, _Running]) -> None:
    """Say of those that died how they did, and kill those that take too long."""
    for pid, child in list(running.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        is_late = not ended and time.monotonic() >= child.until
        if is_late:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        if ended or is_late:
            del running[pid]
            if is_late or status:
                death = "late" if is_late else _death(os.waitstatus_to_exitcode(status))
                child.connection.setblocking(False)
                _try_to_send(child.connection, {"died": death})
            child.connection.close()


def _death(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"exit {code}"


def _try_to_send(connection: socket.socket, message: Mapping[str, Any]) -> None:
    try:
        connection.sendall(b"\n" + json.dumps(message).encode() + b"\n")  # the child may have died within a line
    except OSError:  # the process that asked is gone
        return


def _forget(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _load() -> None:
    """Have all that an import needs in memory, also what is imported at its first use."""
    connection = duckdb.connect(":memory:", config={"threads": 1})
    connection.execute("SELECT 1.5, 'x', NULL, histogram('x')").fetchall()
    connection.execute("SELECT 1.5 AS c, 'x', NULL::DOUBLE").fetchnumpy()
    connection.close()
    gc.collect()
    gc.freeze()


def _child(connection: socket.socket) -> None:
    """Import one table, say what came of it, and end."""
    os.nice(BACKGROUND_NICENESS)
    try:
        lines = connection.makefile("rb")
        job = json.loads(lines.readline())
        threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
        with connection.makefile("wb") as out:
            for message in _answers(job):
                out.write(json.dumps(message).encode() + b"\n")
        os._exit(0)
    except BaseException:  # noqa: BLE001 - whatever it was, this process must not go on as its parent
        traceback.print_exc()
        os._exit(1)


def _end_with(connection: socket.socket) -> None:
    """End this process once nobody waits for its answer."""
    while connection.recv(1):
        pass
    os._exit(1)


def _answers(job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    limits = job["limits"]
    _hold_to(limits)
    try:
        table = import_table(
            Path(job["path"]),
            job["format"],
            ImportOptions(**job["options"] | {"missing": tuple(job["options"]["missing"])}),
            Path(job["out"]),
            max_rows=limits["rows"],
            max_columns=limits["columns"],
            max_bytes=limits["bytes"],
            memory_bytes=limits["memory_bytes"],
            allow=lambda size: _allow(limits, size),
        )
    except UnreadableTable as error:
        yield {"unreadable": error.message, "line": error.line, "column": error.column}
    except Full as error:
        yield {"full": str(error)}
    except MemoryError:
        yield {"unreadable": f"the table takes more than {limits['memory_bytes']} bytes of memory to read"}
    except _OWN_MISTAKES:
        yield {"failed": traceback.format_exc()}
    except duckdb.Error as error:  # DuckDB met bytes that it cannot read
        yield {"broken": str(error).partition("\n")[0][:_LONGEST_REASON]}
    except Exception:  # noqa: BLE001 - a mistake of ours, which the sender is not told as its own
        yield {"failed": traceback.format_exc()}
    else:
        yield from ({"column": column} for column in table.columns)
        yield {"rows": table.rows, "warnings": table.warnings}


def _hold_to(limits: Mapping[str, Any]) -> None:
    """Limit this process's memory and processor time, and let it be the first to go should the machine have too little.

    RLIMIT_DATA counts what may be written to and is nobody else's; RLIMIT_AS would count address space that allocators
    only reserve.
    """
    most = _TIMES_MEMORY * limits["memory_bytes"] + _BASE_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_BE_KILLED)
    except OSError:  # not Linux, or not allowed
        return


def _allow(limits: Mapping[str, Any], size: int) -> None:
    """Limit the processor time to what a table of so many bytes may take, if that is more than it may already."""
    seconds = int(limits["seconds"] + size * limits["seconds_per_byte"])
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if soft in (resource.RLIM_INFINITY, hard) or seconds > soft:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))


if __name__ == "__main__":
    # A stop of the service stops the sender, and an import goes with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    serve(socket.socket(fileno=int(sys.argv[1])))
