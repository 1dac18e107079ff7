"""How much memory runs take, each in a process of its own, beside what the service estimates.

`python -m tests.workers.memory_of_runs 0 50` draws 50 tables and specs, imports, trains and evaluates each as the
service and a worker do, and prints what was estimated, how far the process's memory rose, and their ratio. Memory is
read from Linux's /proc.
"""

import ctypes
import gc
import io
import json
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from service.app import create_app
from store.migrating import upgrade
from store.settings import Settings
from tests.service.callers import Caller
from workers.driving import Place

IRIS = Path(__file__).parents[2] / "examples" / "iris.csv"
KINDS = {"number": 6, "few": 2, "many": 1, "long": 0.6, "time": 1, "flag": 1}
TASKS = ("regression", "regression", "binary", "multiclass", "multiclass", "thousands")


@dataclass(frozen=True)
class Drawn:
    rows: int
    kinds: list[str]  # of the features
    task: str
    spec: dict[str, Any]
    seed: int

    @classmethod
    def of(cls, seed: int) -> "Drawn":
        draw = random.Random(seed)
        rows = int(10 ** draw.uniform(3, 5.3))
        columns = max(1, min(300, int(10 ** draw.uniform(0.3, 2.3)), 4_000_000 // rows))
        kinds = draw.choices(list(KINDS), list(KINDS.values()), k=columns)
        task = draw.choice(TASKS)
        layers: list[dict[str, Any]] = [{"units": int(2 ** draw.uniform(2, 8))} for _ in range(draw.randrange(4))]
        members = draw.choice([1, 1, 1, 1, 4, 16, 64])
        batch = draw.choice([8, 32, 256, 4096, "full"])
        if batch != "full" and rows / batch * members > 20_000:
            batch = 256
        if draw.random() < 0.25:
            layers = [{**layer, "dropout": 0.2} for layer in layers]
        if draw.random() < 0.25:
            layers = [{**layer, "normalization": draw.choice(["batch", "layer"])} for layer in layers]
        spec: dict[str, Any] = {
            "epochs": 1,
            "network": {"layers": layers},
            "batch_size": batch,
            "optimizer": {"name": draw.choice(["adam", "sgd", "rmsprop", "adamw"])},
            "validation": draw.choice([{"fraction": 0.2}, {"fraction": 0.2}, {"folds": 3}]),
            "test": draw.choice([{"fraction": 0.0}, {"fraction": 0.1}]),
        }
        if members > 1:
            spec["sweep"] = {"seed": [*range(members)]}
        if draw.random() < 0.2 and task == "regression":
            spec["sample_weight"] = "weight"
        return cls(rows, kinds, task, spec, draw.randrange(1 << 30))

    def table(self) -> bytes:
        """As Parquet."""
        draw, rows = np.random.default_rng(self.seed), self.rows
        columns = {f"x{place}": _column(kind, draw, rows) for place, kind in enumerate(self.kinds)}
        if self.task == "regression":
            columns["y"] = pa.array(draw.normal(size=rows))
        else:
            most = {"binary": 2, "multiclass": int(draw.integers(3, 20)), "thousands": min(2_000, rows // 10)}
            classes = most[self.task]
            codes = np.concatenate([np.arange(classes), draw.integers(0, classes, rows - classes)])
            columns["y"] = pa.array([f"class {code}" for code in codes])
        columns["weight"] = pa.array(draw.uniform(0.5, 2, rows))
        out = io.BytesIO()
        pq.write_table(pa.table(columns), out)
        return out.getvalue()


def _column(kind: str, draw: np.random.Generator, rows: int) -> pa.Array:
    match kind:
        case "number":
            return pa.array(draw.normal(size=rows))
        case "time":
            return pa.array(draw.integers(0, 10**15, rows), pa.timestamp("us"))
        case "flag":
            return pa.array(draw.integers(0, 2, rows).astype(bool))
    distinct = {"few": 8, "many": max(2, rows // 20), "long": max(2, rows // 4)}[kind]
    text = "a long text of words " * 4 if kind == "long" else "category "
    return pa.array([f"{text}{code}" for code in draw.integers(0, distinct, rows)])


class OnTwoThreads(Caller):
    """Trains with as many threads as the estimate counts with."""

    @property
    def place(self) -> Place:
        return replace(super().place, threads=2)


def measured(drawn: Drawn, folder: Path) -> dict[str, Any]:
    """Return the estimate and the peaks in bytes, above what this process holds when idle."""
    torch.set_num_threads(1)
    settings = Settings(data_dir=folder)
    upgrade(settings.database)
    app = create_app(settings)
    caller = OnTwoThreads(app, app.test_client())
    warm = caller.trained(caller.dataset(IRIS.read_text()), epochs=2)
    caller.client.get(f"/v1/runs/{warm['id']}/evaluation")
    caller.analyse()
    answer = caller.client.post(
        "/v1/datasets?name=drawn", data=drawn.table(), content_type="application/vnd.apache.parquet"
    )
    dataset = answer.json
    features = [each["name"] for each in dataset["columns"] if each["name"][0] == "x" and each["type"] != "text"]
    body = {"dataset": dataset["id"], "target": "y", "features": features, **drawn.spec}
    estimate = caller.client.post("/v1/runs?dry_run=true", json=body).json["memory_bytes"]
    run = caller.client.post("/v1/runs", json=body).json["id"]
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    idle = resident("VmRSS")
    forget_peak()
    caller.train()
    trained = resident("VmHWM") - idle
    assert caller.get(f"/v1/runs/{run}")["status"] == "succeeded"
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    forget_peak()
    caller.client.get(f"/v1/runs/{run}/evaluation")
    caller.analyse()
    caller.get(f"/v1/runs/{run}/evaluation")
    return {"estimate": estimate, "trained": trained, "evaluated": resident("VmHWM") - idle}


def resident(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def told(first: int, last: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Measure each in a process of its own."""
    for seed in range(first, last):
        command = [sys.executable, "-m", "tests.workers.memory_of_runs", str(seed)]
        found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
        yield seed, json.loads(found.stdout)


def main() -> None:
    numbers = [int(each) for each in sys.argv[1:]]
    if len(numbers) == 1:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measured(Drawn.of(numbers[0]), Path(folder))))
        return
    for seed, found in told(*numbers):
        megabytes = {name: round(size / 1e6) for name, size in found.items()}
        ratio = found["estimate"] / max(found["trained"], found["evaluated"])
        print(f"{seed}: {megabytes} {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
