"""Load on an HTTP server from a process of its own: `python -m benchmarks.load` reads what is to be sent from stdin.

Plain sockets and one thread: a client that costs as little as can be had here, for it shares the cores with the server.
A connection sends its next request as soon as it has the whole answer to the last.
"""

import json
import selectors
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

CONNECTIONS = 8


@dataclass(frozen=True)
class Load:
    port: int
    path: str
    body: str
    seconds: float
    connections: int = CONNECTIONS


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
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began = 0.0
        self.found = b""

    def send(self, sent: bytes) -> None:
        self.found, self.began = b"", time.perf_counter()
        self.socket.sendall(sent)

    def is_answered(self) -> bool:
        """After something has come: whether that is all. Raises RuntimeError."""
        piece = self.socket.recv(1 << 18)
        self.found += piece
        head, end, body = self.found.partition(b"\r\n\r\n")
        if not piece:
            raise RuntimeError(f"the server closed the connection after {self.found[:200]!r}")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"no 200: {self.found[:300]!r}")
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            return body.endswith(b"0\r\n\r\n")
        return len(body) >= int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])


def measure(load: Load) -> Taken:
    sent, taken = request(load), []
    with selectors.DefaultSelector() as ready:
        for connection in [Connection(load.port) for _ in range(load.connections)]:
            ready.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(sent)
        began = time.perf_counter()
        while (now := time.perf_counter()) < began + load.seconds:
            for key, _ in ready.select(timeout=60):
                connection = key.data
                if connection.is_answered():
                    taken.append(time.perf_counter() - connection.began)
                    connection.send(sent)
        for key in list(ready.get_map().values()):
            key.data.socket.close()
    p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
    return Taken(len(taken) / (now - began), p50 * 1e3, p99 * 1e3)


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Load(**json.load(sys.stdin))))))
