"""The port is one service's alone, and processes that serve on it are replaced when they die."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from service.http_server.processes import CannotListen, bind
from tests.functional.running import descendants
from tests.service.http_server.conftest import everything, wait_for

PARENT = """
    import sys
    from pathlib import Path
    from service.http_server import processes
    from service.http_server.limits import Limits
    from service.http_server.loop import Loop
    from tests.service.http_server import echo

    listener = processes.bind("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)

    def serving(is_ready):
        if Path(sys.argv[1]).exists():
            raise SystemExit(3)
        kinds = {"any": 2}
        served = echo.Application(echo.application, Path("."), kinds, lambda *_: "any", echo.wants, echo.refusal)
        Loop(served, listener, Limits(grace_seconds=1)).run(is_ready, lambda: None)

    sys.exit(processes.run(2, serving, 1.0))
"""


def started(reason: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(reason)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return everything(connection).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def test_address_is_one_services_alone() -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(CannotListen, match="Address already in use"):
            bind("127.0.0.1", port)
    bind("127.0.0.1", port).close()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.1"])
def test_address_that_is_not_here_is_refused_in_words(host: str) -> None:
    with pytest.raises(CannotListen, match=f"cannot listen on {host} port 1234"):
        bind(host, 1234)


def test_process_that_is_killed_is_replaced(tmp_path: Path) -> None:
    with started(tmp_path / "none") as parent:
        port = int(parent.stdout.readline())
        wait_for(lambda: answers(port))
        before = {pid for pid, _ in descendants(parent.pid)} - {parent.pid}
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: answers(port))
        assert before.isdisjoint(pid for pid, _ in descendants(parent.pid))
        parent.terminate()
        assert parent.wait(10) == 0
    assert not answers(port)


def test_process_that_cannot_start_ends_all(tmp_path: Path) -> None:
    reason = tmp_path / "reason"
    reason.touch()
    with started(reason) as parent:
        assert parent.wait(10) == 3


def test_interrupt_stops_all(tmp_path: Path) -> None:
    with started(tmp_path / "none") as parent:
        port = int(parent.stdout.readline())
        wait_for(lambda: answers(port))
        parent.send_signal(signal.SIGINT)
        assert parent.wait(10) == 0
    assert not answers(port)
