"""An alias moves back and forth under load: no request fails, no answer is of two versions, and all see it soon."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.functional.running import IRIS, Service, wait_for

MOVES = 200
WATCHED = 20  # one move of so many is waited for until every connection has seen it
CONNECTIONS = 4  # to each process
PROCESSES = 2
SOON_SECONDS = 1.0
ROWS = {"instances": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.1, 4.7, 1.5], [6.0, 3.0, 4.9, 1.7]], "probabilities": True}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path, "--api-processes", str(PROCESSES))
    service.warm()
    yield service
    assert service.stop() == 0


@pytest.fixture
def bodies(service: Service) -> list[bytes]:
    """What the versions 1 and 2 of `iris` answer, byte for byte."""
    dataset = service.upload(IRIS.read_bytes(), "iris")
    for seed in (1, 2):
        run = service.ended(service.start(dataset, epochs=10, seed=seed))
        service.post("/v1/models", json={"name": "iris", "run": run["id"], "alias": "prod"})
    answers = [service.client.post(f"/v1/models/iris:{version}/predictions", json=ROWS) for version in (1, 2)]
    assert answers[0].json()["probabilities"] != answers[1].json()["probabilities"]
    return [answer.content for answer in answers]


class Predicting(threading.Thread):
    """One connection that predicts by the alias without a pause, and remembers what it was told since the last move."""

    def __init__(self, connection: HTTPConnection, bodies: list[bytes]) -> None:
        super().__init__()
        self.connection = connection
        self.versions = {body: version for version, body in enumerate(bodies, 1)}
        self.told: list[tuple[float, int | None]] = []  # when a request began, and which version it was answered by
        self.answered = 0
        self.failed: list[str] = []
        self.over = threading.Event()

    def run(self) -> None:
        body = json.dumps(ROWS)
        while not self.over.is_set():
            began_at = time.monotonic()
            try:
                self.connection.request("POST", "/v1/models/iris@prod/predictions", body, JSON)
                answer = self.connection.getresponse()
                content = answer.read()
            except OSError as error:
                self.failed.append(repr(error))
                return
            if answer.status != 200:
                self.failed.append(f"{answer.status} {content!r}")
            self.told.append((began_at, self.versions.get(content)))
            self.answered += 1


def test_an_alias_moves_200_times_under_load(service: Service, bodies: list[bytes]) -> None:
    with connected(service) as connections:
        clients = [Predicting(each, bodies) for each in connections]
        for client in clients:
            client.start()
        try:
            for move in range(1, MOVES + 1):
                version = 1 + move % 2
                answer = service.client.put("/v1/models/iris/aliases/prod", json={"version": version})
                answered_at = time.monotonic()
                assert answer.json()["aliases"] == {"prod": version}, answer.text
                if move % WATCHED == 0:
                    seen_by_all(clients, version, answered_at)
        finally:
            for client in clients:
                client.over.set()
            for client in clients:
                client.join()
    assert [client.failed for client in clients] == [[]] * len(clients)
    assert all(version for client in clients for _, version in client.told), "an answer that is no version's own"
    assert min(client.answered for client in clients) > MOVES / WATCHED


def seen_by_all(clients: list[Predicting], version: int, answered_at: float) -> None:
    """Waits until each has been told of the version, and sees that none was told of another one too late."""

    def has_seen(client: Predicting) -> bool:
        return any(began > answered_at and told == version for began, told in client.told)

    wait_for(lambda: all(has_seen(client) or client.failed for client in clients), 10)
    for client in clients:
        since = [(began - answered_at, told) for began, told in client.told if began > answered_at]
        assert [told for began, told in since if began > SOON_SECONDS and told != version] == []
        first = next((place for place, (_, told) in enumerate(since) if told == version), len(since))
        assert {told for _, told in since[first:]} <= {version}, "a process that has seen a move does not forget it"


@contextmanager
def connected(service: Service) -> Iterator[list[HTTPConnection]]:
    """Connections, so many to each of the processes; the kernel says which one has accepted."""
    address = service.client.base_url
    connections: list[HTTPConnection] = []
    accepted: Counter[int] = Counter()
    until = time.monotonic() + 20
    try:
        while accepted.total() < PROCESSES * CONNECTIONS:
            assert time.monotonic() < until, accepted
            connection = HTTPConnection(address.host, address.port, timeout=30)
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            process = process_behind(service, connection.sock)
            if accepted[process] < CONNECTIONS:
                accepted[process] += 1
                connections.append(connection)
            else:
                connection.close()
        yield connections
    finally:
        for connection in connections:
            with closing(connection):
                pass


def process_behind(service: Service, client: socket.socket) -> int:
    """The pid of whoever has the other end."""
    ends = [f"{port:04X}" for _, port in (client.getpeername(), client.getsockname())]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *_rest = fields = line.split()
        if [each.rpartition(":")[2] for each in (local, remote)] == ends:
            name = f"socket:[{fields[9]}]"
            break
    else:
        pytest.fail("the connection is not in the kernel's table")
    for pid, _ in service.processes():
        if any(_points_to(link, name) for link in Path(f"/proc/{pid}/fd").iterdir()):
            return pid
    pytest.fail("nobody has the other end")


def _points_to(link: Path, name: str) -> bool:
    try:
        return str(link.readlink()) == name
    except FileNotFoundError:  # it was closed meanwhile
        return False
