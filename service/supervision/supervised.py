"""One supervised process of `learnd up`: started, started again with backoff when it dies, stopped in time."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from store.processes import die_with_parent

_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_LONG_LIFE_SECONDS = 60.0  # a process that lived this long had no trouble starting


class Supervised:
    """A command that should always be running. `deaths` counts since it last lived long.

    `socket` is a path on which it listens: one whose socket has vanished can be reached no more, and is started again.
    `listener` is the number of a listening socket that it inherits. A `niceness` leaves the processor to others.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        stop_seconds: float,
        *,
        socket: Path | None = None,
        listener: int | None = None,
        niceness: int = 0,
    ) -> None:
        self.name = name
        self.stop_seconds = stop_seconds
        self.deaths = 0
        self.exit_code: int | None = None
        self._command = command
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._due_at = 0.0
        self._socket = socket
        self._was_reachable = False
        self._niceness = niceness
        self._inherited = () if listener is None else (listener,)

    def tend(self) -> bool:
        """Start it if it is due. True when it was just found dead."""
        self._end_if_unreachable()
        died = self._process is not None and not self.is_running()
        if died:
            self._process = None
            lived = time.monotonic() - self._started_at
            self.deaths = 1 if lived > _LONG_LIFE_SECONDS else self.deaths + 1
            self._due_at = time.monotonic() + _BACKOFF_SECONDS[min(self.deaths, len(_BACKOFF_SECONDS)) - 1]
        if self._process is None and time.monotonic() >= self._due_at:
            self._start()
        return died

    def _end_if_unreachable(self) -> None:
        if self._socket is None or not self.is_running():
            return
        if self._socket.exists():
            self._was_reachable = True
        elif self._was_reachable:
            self.kill()

    def is_running(self) -> bool:
        if self._process is None:
            return False
        self.exit_code = self._process.poll()
        return self.exit_code is None

    def ask_to_stop(self) -> None:
        if self._process is not None and self.is_running():
            self._process.terminate()

    def kill(self) -> None:
        """At once; its children die with it."""
        if self._process is not None and self.is_running():
            self._process.kill()
            self.exit_code = self._process.wait()

    def _start(self) -> None:
        self._started_at = time.monotonic()
        self._was_reachable = False
        if self._socket is not None:  # whatever cleared it may have cleared its folder too
            self._socket.parent.mkdir(mode=0o700, exist_ok=True)
        self._process = subprocess.Popen(  # noqa: S603 - the command is our own
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),  # standard output is for data, and the supervisor's alone
            pass_fds=self._inherited,
            start_new_session=True,  # a Ctrl-C in the terminal is for the supervisor, which stops everything in order
            # The supervisor has one thread, so running Python between fork and exec is sound here.
            preexec_fn=partial(_prepare, os.getpid(), self._niceness),  # noqa: PLW1509
        )


def _prepare(parent: int, niceness: int) -> None:
    die_with_parent(parent=parent)
    os.nice(niceness)
