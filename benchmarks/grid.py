"""A search over learning rates through the whole service, beside H2O-3's grid search through its own interface.

Both have the table already; both answer for the whole search, from the request until all its networks are trained.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.h2o import H2O, Absent, running
from benchmarks.latency import service, until
from benchmarks.ours import CORES
from benchmarks.report import Figure, table
from benchmarks.timing import medians

TABLE = Path(__file__).parents[1] / "examples" / "breast_cancer.csv"
TARGET = "diagnosis"
RATES = [round(10 ** (-4 + 3 * index / 31), 8) for index in range(32)]  # 1e-4 … 1e-1
LAYERS, EPOCHS, BATCH = (32, 32), 20, 32
ROUNDS = 9
LIMIT = 60.0  # seconds that each is timed for, at most
WHAT = f"{len(RATES)} learning rates, breast cancer, [32, 32], {EPOCHS} epochs, batch {BATCH}, by request"


class Ours:
    def __init__(self, client: httpx2.Client) -> None:
        self.client = client
        headers = {"Content-Type": "text/csv"}
        self.dataset = (
            client.post("/v1/datasets", content=TABLE.read_bytes(), headers=headers).raise_for_status().json()
        )
        self.turn = 0

    def search(self) -> None:
        self.turn += 1
        spec = {
            "dataset": self.dataset["id"],
            "target": TARGET,
            "network": {"layers": [{"units": units} for units in LAYERS]},
            "epochs": EPOCHS,
            "batch_size": BATCH,
            "validation": None,
            "early_stopping": None,
            "sweep": {"optimizer.learning_rate": RATES},
            "seed": self.turn,
        }
        run = self.client.post("/v1/runs", json=spec).raise_for_status().json()["id"]
        self.run = until(lambda: self._ended(run))
        assert self.run["status"] == "succeeded", self.run["error"]

    def _ended(self, run: str) -> dict[str, Any] | None:
        found = self.client.get(f"/v1/runs/{run}", params={"wait": 30}).json()
        return found if found["finished_at"] else None

    def loss(self) -> float:
        return self.run["metrics"]["train"]["loss"]


class Theirs:
    def __init__(self, h2o: H2O) -> None:
        self.h2o = h2o
        self.models: list[str] = []
        h2o.load(TABLE, "table", TARGET)
        self.fewest = len(
            RATES
        )  # its threads race, and now and then one of the high rates grows unstable and is dropped

    def search(self, parallelism: int) -> None:
        self.models = self.h2o.grid(
            {"rate": RATES},
            training_frame="table",
            response_column=TARGET,
            hidden=list(LAYERS),
            activation="Rectifier",
            epochs=EPOCHS,
            mini_batch_size=BATCH,
            adaptive_rate=False,
            parallelism=parallelism,
        )
        self.fewest = min(self.fewest, len(self.models))

    def loss(self) -> float:
        return float(min(map(self.h2o.loss, self.models)))


def lines() -> Iterator[str]:
    try:
        with running() as h2o, service() as client:
            yield from _beside(Ours(client), Theirs(h2o))
    except Absent as absent:
        with service() as client:
            ours = Ours(client)
            ours.search()
            taken = medians({"": ours.search}, ROUNDS, LIMIT)[""]
        yield from table([Figure(WHAT, f"{taken:.3f} s")])
        yield from ("", f"H2O-3 was not measured: {absent}.")


def _beside(ours: Ours, theirs: Theirs) -> Iterator[str]:
    ours.search()
    theirs.search(1)
    losses = ours.loss(), theirs.loss()
    if not all(math.isfinite(loss) and loss < math.log(2) for loss in losses):
        raise RuntimeError(f"one of the best networks has learned nothing: {losses}")
    calls = {f"{count} at a time": lambda count=count: theirs.search(count) for count in sorted({1, CORES})}
    times = medians({"ours": ours.search, **calls}, ROUNDS, LIMIT)
    taken = times.pop("ours")
    best = min(times, key=times.__getitem__)
    yield from table(
        [Figure(WHAT, f"{taken:.3f} s", f"{times[best]:.3f} s: H2O-3's grid, {best}", times[best] / taken)]
    )
    yield ""
    best_of = f"learnd {losses[0]:.3f} (by Adam), H2O-3 {losses[1]:.3f} (by gradient descent: it has no Adam)"
    yield f"Train loss of the best rate: {best_of}. H2O-3 finished {theirs.fewest} of {len(RATES)} networks or more."
