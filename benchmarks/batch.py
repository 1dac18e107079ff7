"""A million rows answered by batch prediction, through the service: `python -m benchmarks batch`.

The time is the job's own, from its claim to its end: reading the weights and the stored table, encoding, the network,
and the result as one Parquet file that is durable. Memory is how far the worker's process rises above what it held when
it was idle, as Linux's /proc tells it. Below stands where the time goes, by the same functions, in seconds of a core.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import httpx2
import torch

from benchmarks.latency import service, until
from benchmarks.memory import forget_peak, resident
from benchmarks.report import Figure, table
from learning.answer_columns import answer_columns
from learning.columns import CategoricalColumn, NumericColumn
from learning.experiment import prepare
from learning.fitting import fit
from learning.model import Model
from learning.threads import torch_threads
from store.tabular import ImportOptions, import_table
from store.tabular.answers import write_part
from store.tabular.blocks import Blocks, Wanted, rows_at_once
from workers.answering import stored_answers
from workers.reading import column_of

ROWS, INPUTS, CLASSES = 1_000_000, 30, 3
TRAINED_ON = 2_000  # rows: how good the network is does not matter here
ROUNDS = 3
FIRST = 10_000  # rows of the job before, by which everything is loaded
WANTED = 300_000  # rows a second
SPEC: dict[str, Any] = {
    "target": "y",
    "task": "multiclass",
    "network": {"layers": [{"units": 64}, {"units": 64}]},
    "epochs": 1,
    "batch_size": 32,
}
SLICE = 16_384  # rows encoded and answered at a time

Answer = TypeVar("Answer")


def lines() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="learnd-bench-") as name:
        folder = Path(name)
        rows, held = _through_the_service(folder)
        split = json.loads(
            subprocess.run(
                [sys.executable, "-m", "benchmarks.batch", str(folder / f"{ROWS}.parquet")],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
    what = f"{ROWS:,} rows of {INPUTS} numbers with probabilities, Parquet to Parquet, a [64, 64] network"
    yield from table(
        [
            Figure(what, f"{rows:,.0f} rows/s", f"{WANTED:,} rows/s, which it must do", rows / WANTED),
            Figure("memory that it took the worker", f"{held / 2**20:,.0f} MiB", "300 MiB, which it may take"),
        ]
    )
    told = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in split.items())
    yield from ("", f"Of a core a million rows take: {told}.")


def _through_the_service(folder: Path) -> tuple[float, int]:
    """Rows a second, the median of some jobs; and the bytes that the slot's process rose by, the most of any."""
    with service() as client:
        trained_on, few, many = (_dataset(client, folder, rows) for rows in (TRAINED_ON, FIRST, ROWS))
        spec = {"dataset": trained_on, **SPEC}
        run = client.post("/v1/runs", json=spec).raise_for_status().json()["id"]
        until(lambda: client.get(f"/v1/runs/{run}").json()["status"] == "succeeded")
        client.post("/v1/models", json={"name": "wide", "run": run}).raise_for_status()
        _job(client, few)
        slots = [slot["pid"] for worker in client.get("/v1/workers").json()["data"] for slot in worker["slots"]]
        taken, risen = [], 0
        for _ in range(ROUNDS):
            before = {pid: resident(pid, "VmRSS") for pid in slots}
            for pid in slots:
                forget_peak(pid)
            taken.append(_job(client, many))
            risen = max(risen, *(resident(pid, "VmHWM") - before[pid] for pid in slots))
        return ROWS / sorted(taken)[ROUNDS // 2], risen


def _dataset(client: httpx2.Client, folder: Path, rows: int) -> str:
    path = folder / f"{rows}.parquet"
    numbers = ", ".join(f"random() + random() - random() AS x{place}" for place in range(INPUTS))
    chosen = f"SELECT {numbers}, 'class ' || CAST(floor({CLASSES} * random()) AS INTEGER) AS y FROM range({rows})"
    duckdb.connect().execute(f"SELECT setseed(0.5); COPY ({chosen}) TO '{path}' (FORMAT parquet)")
    headers = {"Content-Type": "application/vnd.apache.parquet"}
    sent = client.post("/v1/datasets", content=path.read_bytes(), headers=headers, timeout=600)
    dataset: str = sent.raise_for_status().json()["id"]
    until(lambda: client.get(f"/v1/datasets/{dataset}").json()["status"] == "ready")
    return dataset


def _job(client: httpx2.Client, dataset: str) -> float:
    """Seconds from its claim to its end."""
    body = {"model": "wide", "dataset": dataset, "probabilities": True}
    job = client.post("/v1/batch-predictions", json=body).raise_for_status().json()["id"]
    at = f"/v1/batch-predictions/{job}"
    # Asked seldom: the service that answers has the same cores.
    ended = until(lambda: (found := client.get(at, params={"wait": 20}).json())["finished_at"] and found)
    assert ended["status"] == "succeeded", ended["error"]
    client.delete(at).raise_for_status()
    began, over = (datetime.fromisoformat(ended[name]) for name in ("started_at", "finished_at"))
    return (over - began).total_seconds()


def split_of(path: Path) -> dict[str, float]:
    """Seconds of a core for each part of the work on a table that is stored as this one would be."""
    with tempfile.TemporaryDirectory(prefix="learnd-bench-") as name:
        folder = Path(name) / "sha256" / "ab"
        folder.mkdir(parents=True)
        stored = folder / "stored"
        import_table(path, "parquet", ImportOptions(), stored)
        return _split(stored, folder / "answers")


def _split(stored: Path, out: Path) -> dict[str, float]:
    model = _model()
    taken = dict.fromkeys(("reading", "encoding", "the network", "answers", "writing"), 0.0)

    def timed(part: str, call: Callable[[], Answer]) -> Answer:
        start = time.thread_time()  # of this thread alone, whatever else the machine does
        found = call()
        taken[part] += time.thread_time() - start
        return found

    names = [feature["name"] for feature in model.inputs]
    size, written = rows_at_once(INPUTS + 1 + CLASSES), []
    with Blocks(stored, [Wanted(name, "numeric") for name in names]) as blocks, torch_threads(1):
        for first in range(0, ROWS, size):
            block = timed("reading", lambda first=first: blocks.read(first, min(size, ROWS - first)))
            columns = {name: column_of(each).values for name, each in block.items()}
            slices = []
            for start in range(0, len(columns[names[0]]), SLICE):
                some = {name: NumericColumn(values[start : start + SLICE]) for name, values in columns.items()}
                inputs = timed("encoding", lambda some=some: model.preprocessing.encode(some))
                prediction = timed("the network", lambda inputs=inputs: model.answer(inputs))
                told = timed("answers", lambda said=prediction: answer_columns(said, probabilities=True))
                slices.append(told)
            written.append(timed("answers", lambda slices=slices: stored_answers(slices)))
    timed("writing", lambda: write_part(written, 0, out))
    return taken


def _model() -> Model:
    random = torch.Generator().manual_seed(0)
    columns: dict[str, Any] = {
        f"x{place}": NumericColumn(torch.randn(TRAINED_ON, generator=random, dtype=torch.float64))
        for place in range(INPUTS)
    }
    names = [*columns]
    codes = torch.randint(0, CLASSES, (TRAINED_ON,), generator=random)
    columns["y"] = CategoricalColumn(codes, tuple(f"class {place}" for place in range(CLASSES)))
    spec = {
        **SPEC,
        "features": names,
        "network": {"layers": [{"units": 64, "activation": "relu"}] * 2},
        "initialization": "he",
        "scaling": "standard",
        "loss": "cross_entropy",
        "optimizer": {"name": "adam", "learning_rate": 0.001, "betas": [0.9, 0.999]},
        "validation": {"fraction": 0.2},
        "test": {"fraction": 0.0},
        "seed": 0,
        "split_seed": 0,
    }
    experiment = prepare(spec, columns)
    member = experiment.members[0]
    for pulse in fit(experiment.members, experiment.data, threads=1):
        trained = pulse.trained()
    fold = experiment.fold_of(member)
    return Model(fold.preprocessing, fold.target, member.network, trained.tensors(member.index))


if __name__ == "__main__":
    print(json.dumps(split_of(Path(sys.argv[1]))))
