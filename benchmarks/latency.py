"""How long a caller waits for a first metric and for a trained network: `python -m benchmarks latency`.

Through the whole service, whose worker is warm and idle, as it is for whoever tries one thing after another.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.report import Figure

IRIS = Path(__file__).parents[1] / "examples" / "iris.csv"
RUNS = 50
WARM_UP = 3
POLL_SECONDS = 0.005
SPEC = {"target": "species", "network": {"layers": [{"units": 32}, {"units": 32}]}, "epochs": 50, "batch_size": 32}


@contextmanager
def service(**configured: str) -> Iterator[httpx2.Client]:
    """`learnd up`, in a folder of its own, once its worker is warm; configured as is said, and nothing else."""
    with tempfile.TemporaryDirectory(prefix="learnd-bench-") as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LEARND_")} | configured
        command = [Path(sys.executable).parent / "learnd", "up", "--port", "0", "--data-dir", Path(folder) / "data"]
        with (
            (Path(folder) / "log").open("w") as log,
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process,
        ):
            try:
                assert process.stdout
                with httpx2.Client(base_url=process.stdout.readline().strip(), timeout=30) as client:
                    until(lambda: client.get("/v1/workers").json()["data"])
                    yield client
            finally:
                process.terminate()
                process.wait()


def until(look: Callable[[], Any]) -> Any:
    while not (answer := look()):
        time.sleep(POLL_SECONDS)
    return answer


def one_run(client: httpx2.Client, dataset: str, seed: int) -> tuple[float, float]:
    """Milliseconds from before the POST until the first metric, and until `succeeded`, could be read by GET."""
    began = time.perf_counter()
    run = client.post("/v1/runs", json={"dataset": dataset, "seed": seed, **SPEC}).raise_for_status().json()["id"]
    until(lambda: client.get(f"/v1/runs/{run}/metrics", params={"limit": 1}).json()["data"])
    first = time.perf_counter()
    status = until(lambda: (s := client.get(f"/v1/runs/{run}").json()["status"]) in ("succeeded", "failed") and s)
    assert status == "succeeded"
    return (first - began) * 1e3, (time.perf_counter() - began) * 1e3


def figures() -> Iterator[Figure]:
    with service() as client:
        headers = {"Content-Type": "text/csv"}
        dataset = client.post("/v1/datasets", content=IRIS.read_bytes(), headers=headers).raise_for_status().json()
        found = [one_run(client, dataset["id"], seed) for seed in range(WARM_UP + RUNS)][WARM_UP:]
    first, whole = zip(*found, strict=True)
    yield Figure(f"POST of an Iris run to its first epoch's metric, {RUNS} runs", _spread(first))
    yield Figure(f"POST to succeeded: Iris, [32, 32], 50 epochs, batch 32, {RUNS} runs", _spread(whole))


def _spread(milliseconds: Sequence[float]) -> str:
    p95 = statistics.quantiles(milliseconds, n=20)[18]
    return f"p50 {statistics.median(milliseconds):.0f} ms, p95 {p95:.0f} ms"
