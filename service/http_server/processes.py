"""The process that holds the port, and those that serve on it: started, watched, stopped together."""

import errno
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

log = logging.getLogger(__name__)

BACKLOG = 1024
_STOPPING = frozenset({signal.SIGTERM, signal.SIGINT})
Ready = Callable[[], None]
_LOOK_SECONDS = 0.2
_AGAIN_SECONDS = 1.0
_KILL_SECONDS = 2.0  # beyond the grace


class CannotListen(Exception):
    """The address cannot be had; why, in words for who typed the command. `is_taken`: another has it."""

    def __init__(self, message: str, *, is_taken: bool) -> None:
        super().__init__(message)
        self.is_taken = is_taken


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens there, and that no other process can share. Raise CannotListen.

    Without SO_REUSEPORT: with it two services on one port would each get some of the requests.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with ExitStack() as undoing:
            listener = undoing.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
            listener.setblocking(False)
            undoing.pop_all()
    except OSError as error:  # a name that cannot be resolved is one too
        message = f"cannot listen on {host} port {port}: {error.strerror or error}"
        raise CannotListen(message, is_taken=error.errno == errno.EADDRINUSE) from None
    return listener


def run(count: int, serve: Callable[[Ready], None], grace: float) -> int:
    """Fork so many processes that serve until SIGTERM, and watch over them; return the exit status.

    `serve` is called in each with a function to be called once requests are taken. One that ends before that ends all,
    with its exit status: what keeps it from starting would keep the next one too.
    """
    children = _Children(count, serve)
    with _signals() as reading:
        while True:
            children.start_due()
            told, _, _ = select.select([reading], [], [], _LOOK_SECONDS)
            if told and not _STOPPING.isdisjoint(reading.recv(4_096)):
                return children.stop(grace)
            status = children.look()
            if status is not None:
                children.stop(grace)
                return status


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Give a socket on which the number of each signal arrives as a byte."""
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in (*_STOPPING, signal.SIGCHLD)}
    signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        reading.close()
        writing.close()


class _Children:
    def __init__(self, count: int, serve: Callable[[Ready], None]) -> None:
        self._due = [0.0] * count  # when each is to be started
        self._serve = serve
        self._running: dict[int, tuple[int, int]] = {}  # pid: its place, and a pipe that says that it has started

    def start_due(self) -> None:
        now = time.monotonic()
        for place, due in enumerate(self._due):
            if due <= now and place not in [each for each, _ in self._running.values()]:
                self._start(place)

    def _start(self, place: int) -> None:
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            status = 1
            try:
                signal.set_wakeup_fd(-1)
                for number in (*_STOPPING, signal.SIGCHLD):
                    signal.signal(number, signal.SIG_DFL)
                self._serve(lambda: _say_ready(writing))
                status = 0
            except SystemExit as ending:
                status = ending.code if isinstance(ending.code, int) else 1
            except BaseException:
                log.exception("the API process ended")
            finally:
                os._exit(status)  # what the parent has registered for its own end is not this process's to do
        os.close(writing)
        os.set_blocking(reading, False)
        self._running[pid] = (place, reading)

    def look(self) -> int | None:
        """Note those that have ended; return the exit status of one that has never served."""
        for pid, (place, reading) in list(self._running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            has_served = _was_ready(reading)
            os.close(reading)
            del self._running[pid]
            code = os.waitstatus_to_exitcode(status)
            if code > 0 and not has_served:  # a signal may strike at any time, and says nothing of the next one
                return code
            log.error("an API process ended with %s; it is started again", code)
            self._due[place] = time.monotonic() + _AGAIN_SECONDS
        return None

    def stop(self, grace: float) -> int:
        """Ask all to stop, and kill those that do not."""
        for pid in self._running:
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + grace + _KILL_SECONDS
        while self._running:
            for pid in list(self._running):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    os.close(self._running.pop(pid)[1])
            if self._running and time.monotonic() > until:
                for pid in self._running:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        return 0


def _say_ready(writing: int) -> None:
    os.write(writing, b"1")
    os.close(writing)


def _was_ready(reading: int) -> bool:
    try:
        return os.read(reading, 1) == b"1"
    except BlockingIOError:
        return False
