"""An object store that accepts and never answers: the service goes on with what it can, and says so at once."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.functional.object_store import ObjectStore
from tests.functional.running import IRIS, LONG, Service, wait_for

PROBES = 80


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    store = ObjectStore()
    yield store
    store.close()


def asked(service: Service, path: str, until: float, took: list[float], all_are_there: threading.Barrier) -> None:
    with httpx2.Client(base_url=service.client.base_url, timeout=60) as client:
        all_are_there.wait()  # making 81 clients takes this process seconds, which are none of the service's
        while time.monotonic() < until:
            began = time.monotonic()
            client.get(path)
            took.append(time.monotonic() - began)
            time.sleep(0.25)


def test_a_store_that_never_answers_stops_nothing_else(
    store: ObjectStore, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    full = request.config.getoption("full")
    service = Service(tmp_path, environment={**store.environment, "LEARND_CHECKPOINT_SECONDS": "1"})
    try:
        service.warm()
        dataset = service.upload(IRIS.read_bytes(), "iris")
        run = service.start(dataset, **LONG)
        service.in_mid_run(run)
        store.hangs.set()
        until = time.monotonic() + (600 if full else 8)
        took: dict[str, list[float]] = {path: [] for path in ("/healthz", "/readyz", "/v2/health/ready")}
        paths = ["/healthz", *["/readyz"] * (PROBES // 2), *["/v2/health/ready"] * (PROBES // 2)]
        all_are_there = threading.Barrier(len(paths))
        probes = [
            threading.Thread(target=asked, args=(service, path, until, took[path], all_are_there)) for path in paths
        ]
        for probe in probes:
            probe.start()
        wait_for(lambda: service.client.get("/readyz").status_code == 503)  # a look at the store has had its time-out
        ready = service.client.get("/readyz")
        assert (ready.status_code, ready.json()["blobs"], ready.json()["database"]) == (503, "unreachable", "ok")
        began = time.monotonic()
        refused = service.client.post("/v1/datasets", content=b"a,b\n1,2\n", headers={"Content-Type": "text/csv"})
        seconds = time.monotonic() - began
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert seconds < 10
        for probe in probes:
            probe.join()
        slowest = {path: max(times) for path, times in took.items()}
        print(f"upload refused after {seconds:.1f} s; slowest answers {slowest}")
        most = 1 if full else 5  # seconds; in the short form the machine may be busy with anything
        assert slowest["/readyz"] < most
        assert slowest["/v2/health/ready"] < most
        if full:
            assert slowest["/healthz"] < 0.1
        store.hangs.clear()
        ended = service.ended(run)
        assert (ended["status"], ended["attempt"]) == ("succeeded", 1)
        assert service.upload(b"a,b\n1,2\n", "after")
    finally:
        service.stop()
