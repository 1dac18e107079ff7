"""The bell is heard by a real broker, and a broker that is away or frozen costs a request nothing."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
import redis

from service.bell import Bell
from service.supervision.embedded_valkey import command, find_server, private_folder, socket_in
from tests.service.callers import Caller

ATTENTION = 10.0  # seconds in which a bell is surely heard
PROBED = 1.5  # a probe that waits for a second gets its answer, beside what else this machine does
QUICK = 0.5  # a request that waited for a broker would take longer: its time-outs are 2 s


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with private_folder(tmp_path) as folder:
        process = subprocess.Popen(command(find_server(), folder))
        path = socket_in(folder)
        while not _answers(path):
            time.sleep(0.01)
        yield f"redis+socket://{path}", process
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return path.exists() and client.connect_ex(str(path)) == 0


def _bells(url: str, count: int) -> list[dict[str, object]]:
    with redis.Redis(unix_socket_path=url.removeprefix("redis+socket://")) as client:
        until = time.monotonic() + ATTENTION
        while client.llen("cpu") < count and time.monotonic() < until:
            time.sleep(0.01)
        return [orjson.loads(message) for message in client.lrange("cpu", 0, -1)]


def test_each_run_that_is_queued_is_rung_for_by_the_tasks_name(
    new_caller: Callable[..., Caller], broker: tuple[str, subprocess.Popen[bytes]], iris: str
) -> None:
    caller = new_caller(redis_url=broker[0])
    assert caller.get("/readyz")["broker"] == "ok"
    run = caller.run(caller.dataset(iris))
    (bell,) = _bells(broker[0], 1)
    assert bell["headers"]["task"] == "learnd.work"
    assert bell["content-type"] == "application/json"
    assert run["id"] in str(bell["headers"]["argsrepr"])
    for verb in ("pause", "resume"):
        caller.client.post(f"/v1/runs/{run['id']}/{verb}")
    assert len(_bells(broker[0], 2)) == 2


def test_a_dry_run_and_a_replayed_answer_ring_for_nobody(
    new_caller: Callable[..., Caller], broker: tuple[str, subprocess.Popen[bytes]], iris: str
) -> None:
    caller = new_caller(redis_url=broker[0])
    dataset = caller.dataset(iris)
    caller.ask(dataset, query="?dry_run=true")
    body, key = {"dataset": dataset, "target": "species"}, {"Idempotency-Key": "once"}
    for _ in range(3):
        assert caller.client.post("/v1/runs", json=body, headers=key).status_code == 202
    assert len(_bells(broker[0], 1)) == 1


def test_a_frozen_broker_holds_up_nobody(
    new_caller: Callable[..., Caller], broker: tuple[str, subprocess.Popen[bytes]], iris: str
) -> None:
    url, process = broker
    caller = new_caller(redis_url=url)
    dataset = caller.dataset(iris)
    caller.run(dataset)
    _bells(url, 1)
    os.kill(process.pid, signal.SIGSTOP)
    for _ in range(20):
        begin = time.monotonic()
        caller.run(dataset)
        assert time.monotonic() - begin < QUICK
    begin = time.monotonic()
    assert caller.get("/readyz")["broker"] == "unreachable"
    assert time.monotonic() - begin < PROBED
    os.kill(process.pid, signal.SIGCONT)
    assert len(_bells(url, 2)) >= 2


def test_a_broker_that_is_away_holds_up_nobody(new_caller: Callable[..., Caller], iris: str, tmp_path: Path) -> None:
    caller = new_caller(redis_url=f"redis+socket://{tmp_path / 'nobody.sock'}")
    dataset = caller.dataset(iris)
    for _ in range(20):
        begin = time.monotonic()
        caller.run(dataset)
        assert time.monotonic() - begin < QUICK
    begin = time.monotonic()
    answer = caller.client.get("/readyz")
    assert (answer.status_code, answer.json["broker"]) == (200, "unreachable")
    assert time.monotonic() - begin < PROBED


def test_bells_past_what_can_wait_are_dropped_and_never_block() -> None:
    with socket.socket() as nobody:  # listens and never answers
        nobody.bind(("127.0.0.1", 0))
        nobody.listen(1)
        bell = Bell(f"redis://127.0.0.1:{nobody.getsockname()[1]}/0")
        begin = time.monotonic()
        for _ in range(10_000):
            bell.ring("cpu", "run_x")
        assert time.monotonic() - begin < 2


def test_bells_that_nobody_hears_do_not_fill_the_broker(broker: tuple[str, subprocess.Popen[bytes]]) -> None:
    bell = Bell(broker[0])
    with redis.Redis(unix_socket_path=broker[0].removeprefix("redis+socket://")) as client:
        for _ in range(100):
            bell.ring("gpu", "run_x")
        bell.ring("cpu", "run_y")  # rung in order: once it is there, so are the others
        assert len(_bells(broker[0], 1)) == 1
        assert client.llen("gpu") == 64
        client.delete("gpu")
        bell.ring("gpu", "run_z")
        bell.ring("cpu", "run_z")
        assert len(_bells(broker[0], 2)) == 2
        assert client.llen("gpu") == 1
