"""The engine as a contestant: networks that go on learning, an epoch at a call."""

import os
from collections.abc import Iterator
from statistics import mean

import torch

from benchmarks.work import Work
from learning.examples import Data
from learning.fitting import Pulse, fit
from learning.specs import LayerSpec, MemberSpec, NetworkSpec, OptimizerSpec
from learning.targets import Target

CORES = os.cpu_count() or 1
ENDLESS = 100_000  # epochs
FEW = 4


def training(work: Work, members: int) -> Iterator[Pulse]:
    """Adam, no validation; the members differ in their seeds, so that each has weights and an order of its own."""
    network = NetworkSpec(tuple(LayerSpec(units) for units in work.layers))
    specs = [
        MemberSpec(seed, seed, network, OptimizerSpec(), "cross_entropy", ENDLESS, work.batch, "xavier")
        for seed in range(members)
    ]
    target = Target("multiclass", ("y",), False, tuple(range(work.classes)), (), ())
    return fit(specs, Data(target, work.examples, None), threads=CORES)


class Ours:
    learns_by = "Adam"

    def __init__(self, work: Work, networks: int = 1) -> None:
        self.work = work
        self.networks = networks
        self.pulses = training(work, networks)

    def epoch(self) -> None:
        while not (pulse := next(self.pulses)).epochs:
            pass
        self.pulse = pulse

    def loss(self) -> float:
        """Of the train rows under the weights as they are; the mean over a few of the networks."""
        trained, few = self.pulse.trained(), range(min(FEW, self.networks))
        return mean(self._loss(trained.tensors(member)) for member in few)

    def _loss(self, weights: dict[str, torch.Tensor]) -> float:
        y = self.work.examples.inputs
        for index in range(len(self.work.layers) + 1):
            y = (y.relu() if index else y) @ weights[f"layers.{index}.weight"] + weights[f"layers.{index}.bias"]
        return torch.nn.functional.cross_entropy(y, self.work.examples.targets).item()
