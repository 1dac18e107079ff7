"""How the time of an epoch grows with rows, width and networks, beside what its matrix products alone would take.

The floor is 6 operations for each parameter and row, at the rate at which this machine multiplies large matrices on as
many threads. Each cell is timed for a few seconds at most; where that is less than an epoch, an epoch is taken to be in
proportion.
"""

import math
import time
from collections.abc import Iterator, Sequence

import torch

from benchmarks.ours import CORES, training
from benchmarks.report import in_columns
from benchmarks.timing import seconds
from benchmarks.work import Work

ROWS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
WIDTHS = (8, 16, 32, 64, 128, 256, 512, 1024)
NETWORKS = (1, 4, 16, 64, 256, 1024)
AXES: dict[str, Sequence[tuple[int, Work, int]]] = {
    "rows": [(rows, Work(rows, 54, (64, 64), 7, 128), 1) for rows in ROWS],
    "width": [(width, Work(10_000, 54, (width, width), 7, 128), 1) for width in WIDTHS],
    "networks": [(count, Work(4_000, 16, (32, 32), 3, 32), count) for count in NETWORKS],
}
HEADINGS = ("axis", "size", "work", "networks", "an epoch", "slope to here", "of the floor")
SECONDS = 6.0  # for a cell, at most
ENOUGH = 1.5  # seconds, once there are so many epochs
FEWEST = 3
SIDE = 2048  # of the matrices that are multiplied


def lines() -> Iterator[str]:
    rate = multiplications()
    cells, told = [], []
    for axis, points in AXES.items():
        sizes: list[float] = []
        times: list[float] = []
        for size, work, networks in points:
            taken, whole = epoch_seconds(work, networks)
            sizes.append(size)
            times.append(taken)
            floor = 6.0 * work.parameters * work.rows * networks / rate
            step = f"{slope(sizes[-2:], times[-2:]):.2f}" if len(sizes) > 1 else ""
            epoch = f"{'' if whole else '≈ '}{taken * 1e3:,.1f} ms"
            cells.append((axis, f"{size:,}", str(work), f"{networks:,}", epoch, step, f"{floor / taken:.1%}"))
        told.append(f"in {axis} {slope(sizes, times):.2f}")
    yield from in_columns(HEADINGS, cells)
    yield ""
    yield f"Slope of log time over log size, by least squares: {', '.join(told)}."
    yield f"The floor: matrix products at {rate / 1e9:,.0f}e9 operations a second, on {CORES} threads."
    yield "≈: an epoch that was not timed to its end."


def slope(sizes: Sequence[float], times: Sequence[float]) -> float:
    """Of the line through (log size, log time)."""
    x, y = [math.log(size) for size in sizes], [math.log(taken) for taken in times]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    across = sum((each - mean_x) * (other - mean_y) for each, other in zip(x, y, strict=True))
    return across / sum((each - mean_x) ** 2 for each in x)


def epoch_seconds(work: Work, networks: int) -> tuple[float, bool]:
    """Of an epoch, and whether whole ones were timed. What comes before the first pulse is not: much is made then."""
    steps = -(-work.rows // work.batch)
    pulses = training(work, networks)
    before = next(pulses).step
    began = time.perf_counter()
    while True:
        done = next(pulses).step - before
        taken = time.perf_counter() - began
        if taken > SECONDS or (taken > ENOUGH and done >= FEWEST * steps):
            return taken * steps / done, done >= steps


def multiplications() -> float:
    """Operations a second of a product of large matrices: the best of a few, two operations to a term."""
    before = torch.get_num_threads()
    torch.set_num_threads(CORES)
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    best = min(seconds(lambda: a @ b) for _ in range(10))
    torch.set_num_threads(before)
    return 2.0 * SIDE**3 / best
