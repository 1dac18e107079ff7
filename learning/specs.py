"""What is to be trained, as plain values: networks, optimizers, members. No torch here, so anyone may name them.

A resolved run spec (the JSON of the API, every default filled in) becomes a tuple of `MemberSpec`, one per network of
the population, by `members_of`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus")
OPTIMIZERS = ("gd", "sgd", "adam", "adamw", "rmsprop")
INITIALIZATIONS = ("xavier", "he")
LOSSES_OF_TASK = {
    "regression": ("squared_error", "absolute_error", "huber", "poisson"),
    "binary": ("binary_cross_entropy",),
    "multiclass": ("cross_entropy",),
}
SCHEDULES: Mapping[str, Mapping[str, Any]] = {  # each with the settings it has, and what they are if nothing is said
    "constant": {},
    "step": {"every": 30, "factor": 0.1},
    "exponential": {"factor": 0.95},
    "cosine": {"floor": 0.0},
    "one_cycle": {"rise": 0.3, "start": 0.04, "end": 4e-6},
    "plateau": {"patience": 10, "factor": 0.1, "threshold": 1e-4},
}
SWEEP_PATHS = (
    "seed",
    "epochs",
    *(f"optimizer.{name}" for name in ("learning_rate", "momentum", "betas", "weight_decay", "clip_norm")),
    "schedule.warmup_epochs",
    *(f"schedule.{name}" for name in dict.fromkeys(name for settings in SCHEDULES.values() for name in settings)),
    "early_stopping.patience",
    "early_stopping.min_delta",
)


@dataclass(frozen=True)
class LayerSpec:
    """One hidden layer: `units` neurons and the activation they share."""

    units: int
    activation: str = "relu"


@dataclass(frozen=True)
class NetworkSpec:
    """The hidden layers; input and output widths come from data and target. No layer: linear or logistic regression."""

    layers: tuple[LayerSpec, ...] = ()


@dataclass(frozen=True)
class OptimizerSpec:
    name: str = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.0
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip_norm: float | None = None

    @property
    def moments(self) -> tuple[str, ...]:
        """What it remembers from step to step, each a number for every weight, zero before the first."""
        velocity = ("velocity",) if self.momentum else ()
        if self.name in ("adam", "adamw"):
            return ("mean", "square")
        return ("square", *velocity) if self.name == "rmsprop" else velocity


@dataclass(frozen=True)
class ScheduleSpec:
    """The course of a learning rate; of the settings those count that `SCHEDULES` names."""

    name: str = "constant"
    warmup_epochs: int = 0
    every: int = 1  # epochs
    factor: float = 1.0
    floor: float = 0.0  # this, `start` and `end` are shares of the learning rate
    rise: float = 0.5  # share of all steps
    start: float = 1.0
    end: float = 1.0
    patience: int = 1  # epochs
    threshold: float = 0.0  # share of the loss


@dataclass(frozen=True)
class EarlyStoppingSpec:
    patience: int = 20  # epochs
    min_delta: float = 0.0


@dataclass(frozen=True)
class MemberSpec:
    """One network of a population and how it is trained; `overrides` is where it differs from its run's spec."""

    index: int
    seed: int
    network: NetworkSpec
    optimizer: OptimizerSpec
    loss: str
    epochs: int
    batch_size: int | None  # None: the full train split
    initialization: str
    schedule: ScheduleSpec = ScheduleSpec()
    early_stopping: EarlyStoppingSpec | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


def class_key(value: str | float | bool) -> str:
    """What a class is called as a key of JSON: text as it is, anything else as JSON writes it."""
    return value if isinstance(value, str) else json.dumps(value)


def members_of(spec: Mapping[str, Any]) -> tuple[MemberSpec, ...]:
    """The members of a resolved run spec: as listed, or a sweep's keys in order of path, the last fastest."""
    return tuple(_member(spec, index, overrides) for index, overrides in enumerate(overrides_of(spec)))


def overrides_of(spec: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    if spec.get("members"):
        return [dict(own) for own in spec["members"]]
    sweep: Mapping[str, Sequence[Any]] = spec.get("sweep") or {}
    paths = sorted(sweep)
    return [dict(zip(paths, values, strict=True)) for values in product(*(sweep[path] for path in paths))]


def moments_of(members: Sequence[MemberSpec]) -> tuple[str, ...]:
    """What the optimizers of a population remember: of each member what any of them needs."""
    return tuple(dict.fromkeys(name for member in members for name in member.optimizer.moments))


def overridden(spec: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of one member; a path is a field, or a field of an object, `optimizer.learning_rate`."""
    found = dict(spec)
    for path, value in overrides.items():
        name, _, inner = path.partition(".")
        found[name] = {**found[name], inner: value} if inner else value
    return found


def _member(spec: Mapping[str, Any], index: int, overrides: Mapping[str, Any]) -> MemberSpec:
    spec = overridden(spec, overrides)
    return MemberSpec(
        index=index,
        seed=spec["seed"],
        network=NetworkSpec(
            tuple(LayerSpec(layer["units"], layer["activation"]) for layer in spec["network"]["layers"])
        ),
        optimizer=OptimizerSpec(**{**spec["optimizer"], "betas": tuple(spec["optimizer"]["betas"])}),
        loss=spec["loss"],
        epochs=spec["epochs"],
        batch_size=None if spec["batch_size"] == "full" else spec["batch_size"],
        initialization=spec["initialization"],
        schedule=ScheduleSpec(**(spec.get("schedule") or {})),
        early_stopping=EarlyStoppingSpec(**spec["early_stopping"]) if spec.get("early_stopping") else None,
        overrides=dict(overrides),
    )
