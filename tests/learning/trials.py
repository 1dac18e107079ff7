"""Small trainings for the tests of the engine: members, targets and examples made from a few words."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from learning.examples import Data, Examples
from learning.fitting import EpochReport, Pulse, State, fit
from learning.specs import LOSSES_OF_TASK, LayerSpec, MemberSpec, NetworkSpec, OptimizerSpec
from learning.targets import Target
from learning.trained import Trained

LOSS_OF_TASK = {task: losses[0] for task, losses in LOSSES_OF_TASK.items()}


def network(*layers: int | tuple[int, str]) -> NetworkSpec:
    return NetworkSpec(tuple(LayerSpec(*((each,) if isinstance(each, int) else each)) for each in layers))


def member(index: int = 0, layers: Sequence = (8,), task: str = "multiclass", **given) -> MemberSpec:
    optimizer = OptimizerSpec(
        given.pop("optimizer", "adam"),
        given.pop("learning_rate", 0.01 * (1 + index % 5)),
        **{name: given.pop(name) for name in list(given) if name in OptimizerSpec.__dataclass_fields__},
    )
    chosen = {"seed": index, "epochs": 2, "batch_size": 32, "initialization": "xavier", "loss": LOSS_OF_TASK[task]}
    return MemberSpec(index=index, network=network(*layers), optimizer=optimizer, **(chosen | given))


def members(count: int, **given) -> list[MemberSpec]:
    return [member(index, **given) for index in range(count)]


def alone(spec: MemberSpec) -> MemberSpec:
    return replace(spec, index=0)


def target(task: str, width: int) -> Target:
    if task == "regression":
        names = tuple(f"y{index}" for index in range(width))
        return Target("regression", names, True, None, (0.0,) * width, (1.0,) * width)
    if task == "multilabel":
        return Target("multilabel", tuple(f"y{index}" for index in range(width)), True, None, (), ())
    classes = (0, 1) if task == "binary" else tuple(range(width))
    return Target(task, ("y",), False, classes, (), ())


def examples(task: str, rows: int, inputs: int, width: int, *, seed: int = 0, dtype=torch.float32) -> Examples:
    """Rows that can be learned from: noisy answers of one fixed random linear map."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, inputs, generator=random, dtype=torch.float64)
    mapping = torch.randn(inputs, width, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    z = x @ mapping / inputs**0.5 + 0.3 * torch.randn(rows, width, generator=random, dtype=torch.float64)
    y = {"regression": z, "binary": z > 0, "multilabel": z > 0, "multiclass": z.argmax(1)}[task]
    return Examples(x.to(dtype), y if task == "multiclass" else y.to(dtype))


class Finished:
    """A training driven to its end, and all that it told."""

    def __init__(self, pulses: Sequence[Pulse], reports: list[EpochReport], trained: Trained, state: State) -> None:
        self.last = pulses[-1]
        self.fractions = [pulse.fraction for pulse in pulses]
        self.reports = reports
        self.trained = trained
        self.state = state

    def told(self, index: int, name: str, split: str = "validation") -> list[float]:
        return [report.values[split, name][index].item() for report in self.reports]

    def everything(self, index: int) -> tuple[str, list[tuple[str, str, bytes]]]:
        """The hash of one member and the bytes of every figure told about it, until it ended."""
        figures = [
            (*name, value[index].numpy().tobytes())
            for report in self.reports[: self.last.members[index].epoch]
            for name, value in sorted(report.values.items())
        ]
        return self.trained.sha256(index), figures


def run(specs, task, width, train, validation=None, **given) -> Finished:
    return drive(specs, Data(target(task, width), train, validation), **given)


def drive(specs: Sequence[MemberSpec], data: Data | Sequence[Data], **given) -> Finished:
    pulses = list(fit(specs, data, **given))
    reports = [report for pulse in pulses for report in pulse.epochs]
    return Finished(pulses, reports, pulses[-1].trained(), pulses[-1].snapshot())
