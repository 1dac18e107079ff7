"""Training beside a plain torch loop: `python -m benchmarks training`.

The loop is the best of the plain ones: rows permuted once an epoch, batches sliced, Adam fused, on whichever number of
threads is faster. Rounds alternate between the two, and the medians are compared.
"""

import os
import time
from collections.abc import Iterator
from statistics import median

import torch

from benchmarks.report import Figure
from learning.examples import Examples
from learning.fitting import fit
from learning.specs import LayerSpec, MemberSpec, NetworkSpec, OptimizerSpec
from learning.targets import Target

WORK = {  # name: rows, inputs, hidden layers, classes, batch, members
    "16-32-32-3, batch 32": (4_000, 16, (32, 32), 3, 32, (1, 64, 256)),
    "54-64-64-7, batch 128": (100_000, 54, (64, 64), 7, 128, (1, 8)),
}
ROUNDS = 8


def rows_of(count: int, inputs: int, classes: int) -> Examples:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(count, inputs, generator=random)
    return Examples(x, (x @ torch.randn(inputs, classes, generator=random)).argmax(1))


def torch_loop(train: Examples, layers: tuple[int, ...], classes: int, batch: int):
    """A function that trains one epoch."""
    net, width = torch.nn.Sequential(), train.inputs.shape[1]
    for units in layers:
        net.extend([torch.nn.Linear(width, units), torch.nn.ReLU()])
        width = units
    net.append(torch.nn.Linear(width, classes))
    loss, optimizer = torch.nn.CrossEntropyLoss(), torch.optim.Adam(net.parameters(), fused=True)

    def epoch() -> None:
        order = torch.randperm(train.rows)
        x, y = train.inputs[order], train.targets[order]
        for start in range(0, train.rows, batch):
            error = loss(net(x[start : start + batch]), y[start : start + batch])
            optimizer.zero_grad()
            error.backward()
            optimizer.step()

    return epoch


def engine(train: Examples, layers: tuple[int, ...], classes: int, batch: int, *, members: int, threads: int):
    """A function that trains one epoch of all members."""
    network = NetworkSpec(tuple(LayerSpec(units) for units in layers))
    specs = [
        MemberSpec(index, index, network, OptimizerSpec(), "cross_entropy", 10_000, batch, "xavier")
        for index in range(members)
    ]
    target = Target("multiclass", ("y",), False, tuple(range(classes)), (), ())
    pulses = fit(specs, target, train, None, threads=threads)

    def epoch() -> None:
        while not next(pulses).epochs:
            pass

    return epoch


def seconds(epoch, threads: int | None = None) -> float:
    before = torch.get_num_threads()
    if threads:
        torch.set_num_threads(threads)
    start = time.perf_counter()
    epoch()
    taken = time.perf_counter() - start
    torch.set_num_threads(before)
    return taken


def figures() -> Iterator[Figure]:
    cores = os.cpu_count() or 1
    for name, (count, inputs, layers, classes, batch, populations) in WORK.items():
        train = rows_of(count, inputs, classes)
        loop = torch_loop(train, layers, classes, batch)
        ours = {
            members: engine(train, layers, classes, batch, members=members, threads=cores) for members in populations
        }
        loops, found = [], {members: [] for members in populations}
        for _ in range(ROUNDS):
            loops.append(min(seconds(loop, 1), seconds(loop, cores)))
            for members, epoch in ours.items():
                found[members].append(seconds(epoch))
        for members, times in found.items():
            theirs, taken = median(loops) * members, median(times)
            networks = "one network" if members == 1 else f"{members} networks"
            yield Figure(
                f"an epoch of {count:,} rows, {name}, Adam, {networks}",
                f"{taken * 1e3:.1f} ms",
                f"{theirs * 1e3:.1f} ms: the plain torch loop{'' if members == 1 else ', one after another'}",
                theirs / taken,
            )
