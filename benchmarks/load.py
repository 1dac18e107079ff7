"""Load on an HTTP server from a process of its own: `python -m benchmarks.load` reads what is to be sent from stdin.

Plain sockets and one thread: a client that costs as little as can be had here, for it shares the cores with the server.
A connection sends its next request as soon as it has the whole answer to the last.
"""

import json
import re
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

CONNECTIONS = 8
# From one's opening to the next's. Of connections that come at once, one process of a server whose processes share a
# socket may take all, and leave the others none.
BETWEEN_SECONDS = 0.02
_PIECE = 1 << 16  # bytes; for more, room would be asked of the system and given back at every answer
_LENGTH = re.compile(rb"(?i:content-length): *(\d+)")


@dataclass(frozen=True)
class Load:
    port: int
    path: str
    body: str
    seconds: float
    connections: int = CONNECTIONS
    # Tell the kernel to acknowledge the first part of an answer at once, which no ordinary client does. A server that
    # sends answers in two parts without TCP_NODELAY waits for that before it sends the second, 40 ms as a rule.
    acknowledge_at_once: bool = False


@dataclass(frozen=True)
class Taken:
    """Of the requests that were answered with 200, all of them; others raise."""

    requests_a_second: float
    p50: float  # milliseconds
    p99: float


def put(load: Load) -> Taken:
    """The load, from another process. Raises RuntimeError where an answer is none, or not 200."""
    command = [sys.executable, "-m", "benchmarks.load"]
    root = Path(__file__).parents[1]
    done = subprocess.run(
        command, input=json.dumps(asdict(load)), capture_output=True, text=True, cwd=root, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return Taken(**json.loads(done.stdout))


def request(load: Load) -> bytes:
    body = load.body.encode()
    head = (
        f"POST {load.path} HTTP/1.1\r\nHost: 127.0.0.1:{load.port}\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    def __init__(self, load: Load) -> None:
        self.socket = socket.create_connection(("127.0.0.1", load.port), timeout=60)
        self.socket.settimeout(None)  # with one, Python asks the kernel before each call whether it would wait
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.acknowledge_at_once = load.acknowledge_at_once
        self.began = 0.0
        self.found = b""

    def send(self, sent: bytes) -> None:
        self.found, self.began = b"", time.perf_counter()
        self.socket.sendall(sent)

    def is_answered(self) -> bool:
        """After something has come: whether that is all. Raises RuntimeError."""
        piece = self.socket.recv(_PIECE)
        self.found = found = self.found + piece if self.found else piece
        if not piece:
            raise RuntimeError(f"the server closed the connection after {found[:200]!r}")
        if not found.startswith(b"HTTP/1.1 200"[: len(found)]):
            raise RuntimeError(f"no 200: {found[:300]!r}")
        if _is_whole(found):
            return True
        if self.acknowledge_at_once:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return False


def _is_whole(answer: bytes) -> bool:
    end = answer.find(b"\r\n\r\n") + 4
    if end < 4:
        return False
    length = _LENGTH.search(answer, 0, end)
    return len(answer) - end >= int(length[1]) if length else answer.endswith(b"0\r\n\r\n")  # the last chunk


def measure(load: Load) -> Taken:
    sent = request(load)
    connections: dict[int, Connection] = {}
    with select.epoll() as ready:
        for _ in range(load.connections):
            connection = Connection(load)
            connections[connection.socket.fileno()] = connection
            ready.register(connection.socket, select.EPOLLIN)
            connection.send(sent)
            _keep_asking(ready, connections, sent, BETWEEN_SECONDS)
        began = time.perf_counter()
        taken = _keep_asking(ready, connections, sent, load.seconds)
        seconds = time.perf_counter() - began
        for connection in connections.values():
            connection.socket.close()
    p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
    return Taken(len(taken) / seconds, p50 * 1e3, p99 * 1e3)


def _keep_asking(
    ready: select.epoll, connections: Mapping[int, Connection], sent: bytes, seconds: float
) -> list[float]:
    """How long each answer took that came meanwhile, in seconds."""
    taken = []
    until = time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0:
        for place, _ in ready.poll(timeout=left):
            connection = connections[place]
            if connection.is_answered():
                taken.append(time.perf_counter() - connection.began)
                connection.send(sent)
    return taken


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Load(**json.load(sys.stdin))))))
