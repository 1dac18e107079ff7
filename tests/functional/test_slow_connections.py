"""Hundreds of clients that stall, each in its way, keep nobody waiting and cost little memory."""

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.functional.running import Service, descendants, wait_for

KEY = "a-key-of-the-tests-that-nobody-guesses-0123456789"
CLIENTS, SECONDS = {"short": 200, "full": 500}, {"short": 2.0, "full": 60.0}
# Of others, meanwhile. In the short form the machine may be busy with anything.
MOST_P99, MOST_HEALTH = {"short": 1.0, "full": 0.2}, {"short": 0.5, "full": 0.1}
MOST_MEMORY = 100 << 20


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("keyed"), key=KEY)
    service.warm()
    yield service
    assert service.stop() == 0


@pytest.fixture(scope="module")
def addresses(keyed: Service) -> dict[str, str]:
    """Return the addresses of a model's predictions, and of a result of some 10 MB."""
    draw = random.Random(3)
    rows = "".join(f"{draw.random()},{draw.random()},{'ab'[draw.randrange(2)]}\n" for _ in range(200_000))
    dataset = keyed.upload(f"x,y,species\n{rows}".encode(), "large")
    run = keyed.start(dataset, epochs=1, batch_size=8192, network={"layers": []})
    keyed.ended(run)
    keyed.post("/v1/models", json={"name": "slow", "run": run})
    asked = {"model": "slow", "dataset": dataset, "probabilities": True}
    batch = f"/v1/batch-predictions/{keyed.post('/v1/batch-predictions', json=asked)['id']}"
    wait_for(lambda: keyed.client.get(batch).json()["status"] == "succeeded")
    return {"predict": "/v1/models/slow/predictions", "result": f"{batch}/result"}


def heads(addresses: dict[str, str]) -> dict[str, bytes]:
    key = f"Authorization: Bearer {KEY}\r\n".encode()
    host = b"Host: localhost\r\n"
    upload = b"POST /v1/datasets HTTP/1.1\r\n" + host + b"Content-Type: text/csv\r\nContent-Length: 100000\r\n"
    return {
        "slow head": b"POST /v1/datasets HTTP/1.1\r\nHost: loc",
        "slow body": upload + key + b"\r\na,b\n",
        "slow body without a key": upload + b"\r\na,b\n",
        "half a GET": b"GET /v1/runs HTTP/1.1\r\n" + host + key,
        "reader that does not read": b"GET %b HTTP/1.1\r\nAccept: text/csv\r\n%b%b\r\n"
        % (addresses["result"].encode(), host, key),
    }


KINDS = ("slow head", "slow body", "slow body without a key", "half a GET", "reader that does not read")


@pytest.mark.parametrize("kind", KINDS)
def test_stalled_clients_keep_nobody_waiting(keyed, addresses, pytestconfig, kind):
    form = "full" if pytestconfig.getoption("--full") else "short"
    address = urlsplit(str(keyed.client.base_url))
    sent = heads(addresses)[kind]
    before = memory(keyed)
    stop = threading.Event()
    with ExitStack() as stack:
        clients = []
        for _ in range(CLIENTS[form]):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((address.hostname, address.port))
            client.sendall(sent)
            clients.append(client)
        dripping = threading.Thread(target=drip, args=(clients, stop), daemon=True)
        if "slow" in kind:
            dripping.start()
        predictions, health, most = [], [], 0
        until = time.monotonic() + SECONDS[form]
        while time.monotonic() < until:
            predictions.append(seconds(keyed.client, "POST", addresses["predict"], {"instances": [[0.5, 0.5]]}))
            predictions.append(seconds(keyed.client, "GET", "/v1/datasets?limit=1"))
            health.append(seconds(keyed.client, "GET", "/healthz"))
            most = max(most, memory(keyed))
            time.sleep(0.01)  # the pace of the other clients
        stop.set()
        if "slow" in kind:
            dripping.join()
    told = {"p99": quantiles(predictions, n=100)[98], "health": max(health), "memory": most - before}
    print(f"{CLIENTS[form]} clients, {kind}: {told}")
    assert told["p99"] < MOST_P99[form], told
    assert told["health"] < MOST_HEALTH[form], told
    assert told["memory"] < MOST_MEMORY, told


def drip(clients: list[socket.socket], stop: threading.Event) -> None:
    """Send each a byte now and then, as long as it takes them."""
    while not stop.wait(0.5):
        for client in clients:
            try:
                client.send(b"1")
            except OSError:
                continue


def seconds(client: httpx2.Client, method: str, path: str, body: object = None) -> float:
    began = time.monotonic()
    client.request(method, path, json=body).raise_for_status()
    return time.monotonic() - began


def memory(service: Service) -> int:
    """Resident bytes of the processes that answer HTTP."""
    found = 0
    for pid, _ in descendants(service.pid):
        try:
            if b"service.server" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
        except OSError:
            continue
    return found
