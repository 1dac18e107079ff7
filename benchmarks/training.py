"""Training beside others: `python -m benchmarks training`, or one of its parts."""

import csv
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import grid, memory, size
from benchmarks.contest import Contestant, contest
from benchmarks.h2o import H2O, Absent, running
from benchmarks.loops import LoaderLoop, ScikitLearn, TorchLoop, TorchLoops
from benchmarks.ours import CORES, Ours
from benchmarks.work import Work

LARGE = Work(100_000, 54, (64, 64), 7, 128)
SMALL = Work(4_000, 16, (32, 32), 3, 32)
POPULATIONS = (64, 256)
LOOPS = 4  # of those that would run one after another: they all take the same time
THREADS = sorted({1, CORES})


def epoch() -> Iterator[str]:
    """One network on a table of 100,000 rows, beside all who train such a one."""
    rivals: dict[str, list[Contestant]] = {
        "the plain torch loop": [TorchLoop(LARGE, threads) for threads in THREADS],
        "a DataLoader loop": [LoaderLoop(LARGE, 1, workers) for workers in (0, 2)],
        "scikit-learn": [ScikitLearn(LARGE, threads) for threads in THREADS],
    }
    missing = ""
    with ExitStack() as stack:
        try:
            rivals["H2O-3"] = [H2OEpoch(stack.enter_context(running()), LARGE)]
        except Absent as absent:
            missing = f"H2O-3 was not measured: {absent}."
            print(missing, file=sys.stderr)
        yield from contest(f"an epoch of {LARGE}", {"one network": Ours(LARGE)}, rivals, warm_up=1)
    if missing:
        yield from ("", missing)


def small() -> Iterator[str]:
    """One small network, where it is all about what surrounds the arithmetic."""
    rivals = {"the plain torch loop": [TorchLoop(SMALL, threads) for threads in THREADS]}
    yield from contest(f"an epoch of {SMALL}", {"one network": Ours(SMALL)}, rivals, warm_up=5)


def populations() -> Iterator[str]:
    """Many small networks at once, beside as many loops one after another."""
    ours = {f"{members} networks": Ours(SMALL, members) for members in POPULATIONS}
    rivals = {"plain torch loops, one after another": [TorchLoops(SMALL, threads, LOOPS) for threads in THREADS]}
    yield from contest(f"an epoch of {SMALL}", ours, rivals, warm_up=5)
    yield f"Of the loops {LOOPS} were run, and their time taken for each of the others."


class H2OEpoch:
    """A network that is trained anew for one epoch; by H2O's own method, for it has no Adam."""

    networks = 1
    learns_by = "ADADELTA, its own"

    def __init__(self, h2o: H2O, work: Work) -> None:
        self.h2o, self.work = h2o, work
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.csv"
            with path.open("w", newline="") as file:
                rows = csv.writer(file)
                rows.writerow([*(f"x{index}" for index in range(work.inputs)), "y"])
                inputs, targets = work.examples.inputs.tolist(), work.examples.targets.tolist()
                rows.writerows([*x, f"class {y}"] for x, y in zip(inputs, targets, strict=True))
            h2o.load(path, "table", "y")

    def __str__(self) -> str:
        return "H2O-3, one epoch by itself"

    def epoch(self) -> None:
        network = {"hidden": list(self.work.layers), "activation": "Rectifier", "mini_batch_size": self.work.batch}
        self.model = self.h2o.train(training_frame="table", response_column="y", epochs=1, **network)

    def loss(self) -> float:
        return self.h2o.loss(self.model)


PARTS = {
    "epoch": epoch,
    "small": small,
    "populations": populations,
    "grid": grid.lines,
    "memory": memory.lines,
    "size": size.lines,
}
