"""The HTTP server with a small application, in a process of its own, and raw sockets to it."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Served:
    port: int
    pid: int
    folder: Path

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(self, content: bytes) -> list[Answer]:
        """The answers to these bytes, until the server ends the connection."""
        with self.connect() as connection:
            connection.sendall(content)
            return answers(everything(connection))

    def memory(self) -> int:
        """Resident bytes of the process."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * 4096


def everything(connection: socket.socket) -> bytes:
    found = b""
    try:
        while piece := connection.recv(1 << 16):
            found += piece
    except ConnectionResetError:
        pass
    return found


def answers(content: bytes) -> list[Answer]:
    """Those that have a Content-Length, one after the other."""
    found = []
    while content:
        head, _, content = content.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        found.append(Answer(int(lines[0].split()[1]), headers, content[:length]))
        content = content[length:]
    return found


def wait_for(look: Callable[[], bool], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < until, f"not so after {seconds} seconds"
        time.sleep(0.01)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    processes = []

    def start(**limits: float) -> Served:
        folder = tmp_path / f"bodies-{len(processes)}"
        command = [sys.executable, "-m", "tests.service.http_server.echo", json.dumps(limits), str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return Served(int(process.stdout.readline()), process.pid, folder)

    yield start
    for process in processes:
        process.terminate()
        assert process.wait(10) == 0
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()
