"""What the pictures need of a training: `learning.fit`, followed from epoch to epoch, and tables to train on."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from learning.examples import Data, Examples
from learning.fitting import fit
from learning.initialization import initial_weights
from learning.layout import Layout
from learning.network import predict_blocks
from learning.randomness import key, normal
from learning.specs import LayerSpec, MemberSpec, NetworkSpec, OptimizerSpec
from learning.targets import Target
from learning.weights import slice_member, tensors_of

EXAMPLES = Path(__file__).parents[2] / "examples"
PLAIN = MemberSpec(0, 0, NetworkSpec(), OptimizerSpec(), "squared_error", 100, batch_size=None, initialization="xavier")


@dataclass(frozen=True)
class Course:
    """One member's training: its losses [epochs] by split, its weights after each epoch, and those that were kept."""

    spec: MemberSpec
    losses: Mapping[str, Tensor]
    weights: list[Mapping[str, Tensor]]
    kept: Mapping[str, Tensor]

    def outputs(self, inputs: Tensor) -> Tensor:
        """[N, out] of inputs [N, F], by the kept weights."""
        return predict_blocks(self.spec.network, self.kept, inputs)


def member(layers: Sequence[LayerSpec] = (), **given: Any) -> MemberSpec:
    return replace(PLAIN, network=NetworkSpec(tuple(layers)), **given)


def train(members: Sequence[MemberSpec], data: Data, *, follow: bool = False) -> list[Course]:
    """Each of the members, whatever their shapes; with `follow`, the weights after every epoch are kept."""
    told, weights = [], []
    for pulse in fit(members, data):
        told += [report.values for report in pulse.epochs]
        weights += [pulse.trained()] if follow and pulse.epochs else []
    kept = pulse.trained()
    splits = ("train",) if data.validation is None else ("train", "validation")
    return [
        Course(
            spec,
            {split: torch.stack([values[split, "loss"][spec.index] for values in told]) for split in splits},
            [each.tensors(spec.index) for each in weights],
            kept.tensors(spec.index),
        )
        for spec in members
    ]


def numbers() -> Target:
    """A regression on numbers that need no scaling."""
    return Target("regression", ("y",), False, None, (0.0,), (1.0,))


def two_classes() -> Target:
    return Target("binary", ("arm",), False, (0, 1), (), ())


def table(name: str, features: Sequence[str], target: str) -> tuple[Tensor, Tensor]:
    """Columns of an example table: features [N, F] and target [N, 1], as they stand there."""
    with (EXAMPLES / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    x = torch.tensor([[float(row[feature]) for feature in features] for row in rows])
    return x, torch.tensor([[float(row[target])] for row in rows])


def noise(count: int, purpose: str) -> Tensor:
    """[count] normal numbers, the same ones for ever."""
    return normal([key(f"pictures.{purpose}", 0)], torch.arange(count, dtype=torch.int32))[0].float()


def standard(values: Tensor) -> Tensor:
    return (values - values.mean(0)) / values.std(0, correction=0)


def spirals(rows: int, wobble: float = 0.035, turns: float = 1.75) -> Examples:
    """Two arms, wound around each other: inputs [rows, 2] within about ±1, targets 0 and 1."""
    arm = torch.arange(rows) % 2
    along = (torch.arange(rows) // 2 + 0.5) / (rows // 2)
    angle = 2 * math.pi * (turns * along.sqrt() + arm / 2)
    radius = 0.08 + 0.87 * along.sqrt()
    places = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    shaken = places + wobble * noise(2 * rows, "spirals").view(rows, 2)
    return Examples(shaken, arm.float().unsqueeze(1))


def start_of(spec: MemberSpec, *, inputs: int, outputs: int) -> dict[str, Tensor]:
    """The weights before the first step."""
    layout = Layout.of(spec.network, inputs, outputs)
    flat = initial_weights(layout, [spec.seed], spec.initialization, torch.float32)
    return slice_member(tensors_of(layout, flat), 0)
