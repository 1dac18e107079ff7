"""All connections of one process: an event loop that receives and sends, and threads that answer."""

import asyncio
import logging
import resource
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

import uvloop

from service.http_server.connection import NEVER, Connection
from service.http_server.limits import Limits
from service.http_server.processes import BACKLOG
from service.http_server.reply import Reply, Wsgi, call
from service.http_server.request import BadHead, Environ, Request
from service.http_server.sending import Sender

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5  # between two looks at the deadlines
_STALLED_SECONDS = 1.0


@dataclass(frozen=True)
class Application:
    """What is served.

    `wsgi` answers requests, in threads: `threads` says how many there are of each kind, `kind` which of them a request
    is given to by its method and target. A kind that has much to do keeps no other waiting. `wants` says how many bytes
    of a body it takes, None where it refuses the request without. `refusal` words a refusal of the server's own. The
    paths `at_once` and what `quick` takes are answered by the event loop itself, and must not wait for anything.
    """

    wsgi: Wsgi
    folder: Path  # where long bodies wait
    threads: Mapping[str, int]
    kind: Callable[[str, str], str]
    wants: Callable[[Environ], int | None]
    refusal: Callable[[int, str], Reply]
    at_once: Mapping[str, Callable[[Environ], Reply]] = field(default_factory=dict)
    quick: "Quick | None" = None


class Quick(Protocol):
    """Answers some requests without a thread, and those together that have come together."""

    def take(self, environ: Environ, body: bytes) -> Any | None:
        """Return what `answer` needs, or None where the request is to have a thread."""

    def answer(self, taken: Sequence[Any]) -> Sequence[Reply | None]:
        """Return an answer to each; None where the request is to have a thread after all."""


class Threads:
    """So many threads, started when there is work for them."""

    def __init__(self, most: int, name: str) -> None:
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._most = most
        self._name = name
        self._count = 0

    def run(self, work: Callable[[], None]) -> None:
        """Do it in one of the threads; from one thread only, that of the event loop."""
        self._work.put(work)
        if not self._idle.acquire(blocking=False) and self._count < self._most:
            self._count += 1
            threading.Thread(target=self._serve, name=f"{self._name}-{self._count}", daemon=True).start()

    def _serve(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except Exception:  # the thread serves the next request all the same
                log.exception("a request was not answered")
            del work
            self._idle.release()


class Loop:
    """Serves an application on a listening socket until `stop` is called."""

    def __init__(self, application: Application, listener: socket.socket, limits: Limits) -> None:
        self.limits = limits
        self.folder = application.folder
        self.bodies = 0  # bytes of bodies in memory
        self.is_stopping = False
        self.date = formatdate(usegmt=True)
        self._application = application
        self._listener = listener
        host, port = listener.getsockname()[:2]
        self._server = (host, str(port))
        self._connections: set[Connection] = set()
        self._quick: list[tuple[Connection, Request, Any]] = []  # that are answered together, in a moment
        self._answers = 0  # bytes of answers that the system was not given yet
        self._threads = {kind: Threads(most, kind) for kind, most in application.threads.items()}
        self._disk = Threads(2, "body")
        self._loop = uvloop.new_event_loop()
        self._ended = asyncio.Event()

    def run(self, is_ready: Callable[[], None], stop_asked: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT, and as long afterwards as answers are under way, but no longer than the grace.

        `is_ready` is called once connections are taken, `stop_asked` at the signal.
        """
        _allow_files(self.limits.connections)
        asyncio.set_event_loop(self._loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop, stop_asked)
        self._loop.run_until_complete(self._serve(is_ready))

    async def _serve(self, is_ready: Callable[[], None]) -> None:
        server = await self._loop.create_server(lambda: Connection(self), sock=self._listener, backlog=BACKLOG)
        watching = self._loop.create_task(self._watch())
        is_ready()
        await self._ended.wait()
        watching.cancel()
        server.close()
        for connection in list(self._connections):
            connection.abort()

    def _stop(self, stop_asked: Callable[[], None]) -> None:
        if self.is_stopping:
            return
        self.is_stopping = True
        stop_asked()
        for connection in list(self._connections):
            connection.stop()
        self._ending = self._loop.create_task(self._end())

    async def _end(self) -> None:
        until = time.monotonic() + self.limits.grace_seconds
        while self._connections and time.monotonic() < until:  # noqa: ASYNC110 - asked seldom, and only at the end
            await asyncio.sleep(0.02)
        self._ended.set()

    async def _watch(self) -> None:
        """Look at the deadlines, and keep the date."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.date = formatdate(usegmt=True)
            now = time.monotonic()
            for connection in [each for each in self._connections if each.deadline < now]:
                connection.at_deadline()

    # For the connections, in the thread of the event loop.

    def add(self, connection: Connection) -> None:
        if len(self._connections) >= self.limits.connections:
            self._make_room()
        self._connections.add(connection)

    def remove(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def in_thread(self, work: Callable[[], None], then: Callable[[], None] | None = None) -> None:
        """Do what may wait for the disk in a thread, and then the rest in the event loop."""

        def both() -> None:
            try:
                work()
            finally:
                if then is not None:
                    self._tell(then)

        self._disk.run(both)

    def ask(self, connection: Connection, request: Request) -> None:
        """Ask the application whether it wants the body; `connection.wanted` hears of it."""

        def asking() -> None:
            limit: int | None = None
            try:
                limit = self._application.wants(self._environ(connection, request, is_refused=True))
            finally:
                self._tell(lambda: connection.wanted(request, limit))

        self._of(request).run(asking)

    def answer(self, connection: Connection, request: Request) -> None:
        """Call the application in a thread; `connection.send` gets the answer."""
        at_once = self._application.at_once.get(request.target.decode("latin-1"))
        if at_once is not None and request.method in ("GET", "HEAD"):
            connection.send(request, at_once(self._environ(connection, request)))
            return

        quick = self._application.quick
        if quick is not None and request.method == "POST" and (body := request.body.content()) is not None:
            environ = self._environ(connection, request)
            taken = quick.take(environ, body)
            if taken is not None:
                if not self._quick:
                    self._loop.call_soon(self._answer_quickly, quick)
                self._quick.append((connection, request, taken))
                return
        self._answer_in_thread(connection, request)

    def _answer_quickly(self, quick: Quick) -> None:
        waiting, self._quick = self._quick, []
        replies = quick.answer([taken for _, _, taken in waiting])
        for (connection, request, _), reply in zip(waiting, replies, strict=True):
            if reply is None:
                self._answer_in_thread(connection, request)
            else:
                connection.send(request, reply)

    def _answer_in_thread(self, connection: Connection, request: Request) -> None:
        def answering() -> None:
            try:
                reply = call(self._application.wsgi, self._environ(connection, request))
            except Exception:  # whatever it is, the client gets an answer, and the log the rest
                log.exception("the application did not answer")
                reply = self._application.refusal(500, "Something went wrong on our side.")
            self._tell(lambda: connection.send(request, reply))

        self._of(request).run(answering)

    def next_piece(self, sender: Sender, request: Request, reply: Reply) -> None:
        """Ask the application for more of an answer; `sender.go_on` gets it."""

        def asking() -> None:
            piece, failed = None, True
            try:
                piece, failed = reply.next_piece(), False
            finally:
                self._tell(lambda: sender.go_on(reply, piece, failed=failed))

        self._of(request).run(asking)

    def hold(self, count: int) -> None:
        """Count bytes of answers; past the limit the slowest readers are cut off."""
        self._answers += count
        if count > 0 and self._answers > self.limits.answers_memory:
            now = time.monotonic()
            patience = self.limits.write_seconds - _STALLED_SECONDS
            stalled = [each for each in self._connections if each.is_stalled() and each.deadline - now < patience]
            for connection in sorted(stalled, key=lambda each: each.deadline):
                connection.abort()
                if self._answers <= self.limits.answers_memory:
                    break

    def refusal(self, fault: BadHead) -> Reply:
        return self._application.refusal(fault.status, fault.detail)

    def _of(self, request: Request) -> Threads:
        return self._threads[self._application.kind(request.method, request.target.decode("latin-1"))]

    def _environ(self, connection: Connection, request: Request, *, is_refused: bool = False) -> Environ:
        return request.environ(self._server, connection.client, is_refused=is_refused or request.is_refused)

    def _tell(self, act: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:  # the loop has ended: nobody waits for this any more
            log.info("an answer came after the end")

    def _make_room(self) -> None:
        """End the connection that has been silent longest, of the address that has most of them."""
        busiest = Counter(each.client for each in self._connections).most_common(1)[0][0]
        waiting = [each for each in self._connections if each.client == busiest and each.deadline != NEVER]
        if waiting:
            min(waiting, key=lambda each: (not each.is_idle(), each.deadline)).abort()


def _allow_files(connections: int) -> None:
    """Raise this process's limit of open files to what the connections need, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * connections + 512
    if soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
