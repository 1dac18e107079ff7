"""What a run through the service takes above its training alone: `python -m benchmarks overhead`.

The service is the whole one, with a worker that is warm: its run is timed from its claim to its end, and so holds the
reading of the table, metrics, heartbeat, checkpoints, and the weights at the end. Beside it `learning.fitting.fit` by
itself, in a fresh process, on as many threads. Both train the same spec to the same losses, in turn.
"""

import csv
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from typing import Any

import httpx2
import torch

from benchmarks.latency import service
from benchmarks.ours import CORES
from benchmarks.report import Figure
from benchmarks.work import Work
from learning.columns import NumericColumn, Table
from learning.experiment import prepare
from learning.fitting import fit

ROUNDS = 3
POLL_SECONDS = 0.5
MOST_EPOCHS = 100_000
TRIED_SECONDS = 3.0  # of the engine alone, to see how many epochs a run must have
CHECKPOINTS = 2  # in a run, as many as there are in a minute with what is set when nothing is


@dataclass(frozen=True)
class Case:
    what: str
    work: Work
    networks: int = 1


CASES = (
    Case("one network", Work(10_000, 16, (64, 64), 3, 64)),
    Case("64 networks", Work(4_000, 16, (32, 32), 3, 32), 64),
    Case("one network, epochs of a millisecond", Work(150, 4, (32, 32), 3, 150)),
    Case("4,096 networks", Work(150, 4, (8,), 3, 150), 4096),
)


def figures(seconds: float) -> Iterator[Figure]:
    """Of runs of about so many seconds."""
    for number, case in enumerate(CASES):
        with service(LEARND_CHECKPOINT_SECONDS=str(seconds / CHECKPOINTS)) as client:
            run = _Runs(client, number)
            epochs = _epochs(run.spec(1), number, seconds)
            served, alone = [], []
            for _ in range(ROUNDS):
                found = run.ended(epochs)
                served.append(_seconds(found))
                taken, best = _alone(found["spec"], number)
                assert best == found["best"]["value"], "the same work"
                alone.append(taken)
        ours, rival = statistics.median(served), statistics.median(alone)
        yield Figure(
            f"{case.what}, {epochs:,} epochs of {case.work}",
            f"{ours:.2f} s: {ours / rival - 1:+.1%}",
            f"{rival:.2f} s: the engine alone",
            rival / ours,
        )


class _Runs:
    """Runs of one case, on a dataset of its own."""

    def __init__(self, client: httpx2.Client, number: int) -> None:
        self._client = client
        self._case = CASES[number]
        self._dataset = self._sent("/v1/datasets", content=_csv(self._case.work), headers={"Content-Type": "text/csv"})
        self.ended(2)  # the first one finds nothing warm

    def spec(self, epochs: int) -> dict[str, Any]:
        """Resolved, as a worker gets it."""
        return self._sent("/v1/runs", params={"dry_run": "true"}, json=self._asked(epochs))["spec"]

    def ended(self, epochs: int) -> dict[str, Any]:
        id = self._sent("/v1/runs", json=self._asked(epochs))["id"]
        while True:
            run = self._client.get(f"/v1/runs/{id}").raise_for_status().json()
            if run["finished_at"]:
                assert run["status"] == "succeeded", run["error"]
                return run
            time.sleep(POLL_SECONDS)

    def _asked(self, epochs: int) -> dict[str, Any]:
        work = self._case.work
        return {
            "dataset": self._dataset["id"],
            "target": "y",
            "task": "multiclass",
            "network": {"layers": [{"units": units} for units in work.layers]},
            "epochs": epochs,
            "batch_size": work.batch,
            "early_stopping": None,
            "sweep": {"seed": list(range(self._case.networks))},
        }

    def _sent(self, path: str, **request: Any) -> dict[str, Any]:
        return self._client.post(path, **request).raise_for_status().json()


def _csv(work: Work) -> bytes:
    text = StringIO()
    rows = csv.writer(text)
    rows.writerow([*_names(work), "y"])
    rows.writerows([*x, y] for x, y in zip(_inputs(work).tolist(), work.examples.targets.tolist(), strict=True))
    return text.getvalue().encode()


def _table(work: Work) -> Table:
    """What the worker reads of that file."""
    columns = dict(zip(_names(work), _inputs(work).T, strict=True))
    return {name: NumericColumn(values) for name, values in {**columns, "y": work.examples.targets.double()}.items()}


def _names(work: Work) -> list[str]:
    return [f"x{index}" for index in range(work.inputs)]


def _inputs(work: Work) -> torch.Tensor:
    return work.examples.inputs.double()


def _epochs(spec: dict[str, Any], number: int, seconds: float) -> int:
    """How many take about so many seconds."""
    epochs = 10
    while True:
        taken, _ = _alone({**spec, "epochs": epochs}, number)
        if taken > TRIED_SECONDS or epochs == MOST_EPOCHS:
            return min(MOST_EPOCHS, max(1, round(epochs * seconds / taken)))
        epochs = min(MOST_EPOCHS, epochs * 4)


def _alone(spec: dict[str, Any], number: int) -> tuple[float, float]:
    """Seconds of the fit in a process of its own, and its best value."""
    command = [sys.executable, "-m", "benchmarks.overhead", str(number)]
    ended = subprocess.run(command, input=json.dumps(spec), check=True, capture_output=True, text=True)
    taken, best = json.loads(ended.stdout)
    return taken, best


def _fit(spec: dict[str, Any], work: Work) -> tuple[float, float]:
    torch.set_num_threads(1)  # as in a worker: the fit takes more where that pays
    experiment = prepare(spec, _table(work))
    began = time.perf_counter()
    for pulse in fit(experiment.members, experiment.data, threads=CORES):
        last = pulse
    taken = time.perf_counter() - began
    return taken, min(member.best["value"] for member in last.members if member.best)


def _seconds(run: dict[str, Any]) -> float:
    """From its claim to its end."""
    began, ended = (datetime.fromisoformat(run[name]) for name in ("started_at", "finished_at"))
    return (ended - began).total_seconds()


if __name__ == "__main__":
    print(json.dumps(_fit(json.load(sys.stdin), CASES[int(sys.argv[1])].work)))
