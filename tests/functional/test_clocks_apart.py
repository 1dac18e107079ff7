"""API, worker and reconciler on machines whose clocks are 10 minutes apart work together as on one."""

import json
import time
from pathlib import Path

import pytest

from tests.functional.running import IRIS, Service

MODULES = ("service.server", "workers", "workers.reconciler")


@pytest.mark.parametrize("shifts", [(600, -600, 0), (0, 600, -600), (-600, 0, 600)])
def test_runs_start_at_once_and_workers_are_listed(new_postgresql, tmp_path, shifts, pytestconfig):
    if shifts[0] < 600 and not pytestconfig.getoption("--full"):
        pytest.skip("one order of the clocks is enough for the short form")
    environment = {
        "PYTHONPATH": str(Path(__file__).parent / "clocks_apart"),
        "LEARND_CLOCKS": json.dumps(dict(zip(MODULES, shifts, strict=True))),
        "LEARND_DATABASE_URL": new_postgresql(),
    }
    service = Service(tmp_path, environment=environment)
    try:
        service.warm()
        dataset = service.upload(IRIS.read_bytes(), "iris")
        for _ in range(3):
            began = time.monotonic()
            run = service.start(dataset, epochs=3)
            assert service.ended(run)["status"] == "succeeded"
            assert time.monotonic() - began < 10
        until = time.monotonic() + 8  # more than a lease, and several looks of the reconciler
        long = service.start(dataset, epochs=50_000)
        service.in_mid_run(long)
        while time.monotonic() < until:
            assert service.workers()
            assert service.run(long)["status"] == "running"
            time.sleep(0.2)
        assert service.run(long)["attempt"] == 1
        service.post(f"/v1/runs/{long}/cancel")
        assert service.ended(long)["status"] == "cancelled"
    finally:
        assert service.stop() == 0
