"""What a thousand networks in one run need: their memory, in processes of their own, and the time for each of them.

Memory is read from Linux's /proc: how far a process's resident set rises above what it was when idle.
"""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.latency import service, until
from benchmarks.ours import CORES, Ours
from benchmarks.report import Figure, table
from benchmarks.timing import medians
from benchmarks.work import Work
from learning.layout import Layout, padded
from learning.schedule import shares_of
from learning.specs import LayerSpec, NetworkSpec

WORK = Work(4_000, 16, (32, 32), 3, 32)
MANY, SOME = 1024, 64
EPOCHS = 2
ROUNDS, LIMIT = 9, 60.0
FLOAT, INTEGER = 4, 8  # bytes


def lines() -> Iterator[str]:
    if not Path("/proc/self/clear_refs").exists():
        yield "Not measured: this system does not tell how much memory a process has held."
        return
    ours = {f"{count} networks": Ours(WORK, count) for count in (SOME, MANY)}
    calls = {name: contestant.epoch for name, contestant in ours.items()}
    medians(calls, 1, LIMIT)
    some, many = medians(calls, ROUNDS, LIMIT).values()
    del ours, calls
    held = json.loads(
        subprocess.run([sys.executable, "-m", "benchmarks.memory"], check=True, capture_output=True, text=True).stdout
    )
    parts = needed()
    plain = sum(parts.values())
    estimate, served = _through_the_service()
    yield from table(
        [
            Figure(
                f"an epoch of {WORK}, for each of {MANY:,} networks",
                f"{many / MANY * 1e6:.0f} µs",
                f"{some / SOME * 1e6:.0f} µs: for each of {SOME}",
                (some / SOME) / (many / MANY),
            ),
            Figure(
                f"peak memory of {MANY:,} networks, the engine by itself",
                _megabytes(held),
                f"{_megabytes(plain)}: what there is to be held",
                held / plain,
            ),
            Figure(
                f"peak memory of {MANY:,} networks, a run of the service",
                _megabytes(served),
                f"{_megabytes(estimate)}: its own estimate",
                served / estimate,
            ),
        ]
    )
    told = ", ".join(f"{name} {_megabytes(size)}" for name, size in parts.items())
    yield from ("", f"The last two ratios are memory over memory. What there is to be held: {told}.")


def needed() -> dict[str, int]:
    """Bytes, with widths as they lie in memory, in multiples of 16."""
    widths = [padded(width) for width in WORK.widths]
    weights = FLOAT * MANY * sum((below + 1) * units for below, units in pairwise(widths))
    layout = Layout.of(NetworkSpec(tuple(map(LayerSpec, WORK.layers))), WORK.inputs, WORK.classes)
    chunk = max(share.last - share.first for share in shares_of(MANY, layout, WORK.batch, CORES))
    return {
        "weights": weights,
        "gradient": weights,
        "two moments": 2 * weights,
        "best weights": weights,
        "outputs of a chunk's layers, and their gradients": FLOAT * 2 * chunk * WORK.batch * sum(widths[1:]),
        "data": (FLOAT * widths[0] + INTEGER) * WORK.rows,
    }


def held_here() -> int:
    """Bytes that training takes this process at most, above what it held after training one network."""
    Ours(WORK).epoch()
    before = resident("self", "VmRSS")
    forget_peak("self")
    many = Ours(WORK, MANY)
    for _ in range(EPOCHS):
        many.epoch()
    return resident("self", "VmHWM") - before


def _through_the_service() -> tuple[int, int]:
    """The estimate of a run, and what the worker's process took for it above what it had held after a small one."""
    with service() as client:
        dataset = _dataset(client)
        spec = {
            "dataset": dataset,
            "target": "y",
            "network": {"layers": [{"units": units} for units in WORK.layers]},
            "epochs": EPOCHS,
            "batch_size": WORK.batch,
        }
        _train(client, spec)
        processes = [slot["pid"] for worker in client.get("/v1/workers").json()["data"] for slot in worker["slots"]]
        before = {process: resident(process, "VmRSS") for process in processes}
        for process in processes:
            forget_peak(process)
        spec["sweep"] = {"seed": list(range(MANY))}
        dry = client.post("/v1/runs", params={"dry_run": "true"}, json=spec).raise_for_status().json()
        _train(client, spec)
        return dry["memory_bytes"], max(resident(process, "VmHWM") - before[process] for process in processes)


def _dataset(client: httpx2.Client) -> str:
    text = StringIO()
    rows = csv.writer(text)
    rows.writerow([*(f"x{index}" for index in range(WORK.inputs)), "y"])
    examples = WORK.examples
    rows.writerows([*x, f"class {y}"] for x, y in zip(examples.inputs.tolist(), examples.targets.tolist(), strict=True))
    sent = client.post("/v1/datasets", content=text.getvalue().encode(), headers={"Content-Type": "text/csv"})
    return sent.raise_for_status().json()["id"]


def _train(client: httpx2.Client, spec: dict[str, Any]) -> None:
    run = client.post("/v1/runs", json=spec).raise_for_status().json()["id"]
    ended = until(lambda: (found := client.get(f"/v1/runs/{run}").json())["finished_at"] and found)
    assert ended["status"] == "succeeded", ended["error"]


def resident(process: int | str, field: str) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(rf"{field}:\s+(\d+) kB", status)[0]) * 1024


def forget_peak(process: int | str) -> None:
    Path(f"/proc/{process}/clear_refs").write_text("5")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


if __name__ == "__main__":
    print(held_here())
