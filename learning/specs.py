"""What is to be trained, as plain values: networks, optimizers, members. No torch here, so anyone may name them.

A resolved run spec (the JSON of the API, every default filled in) becomes a tuple of `MemberSpec`, one per network of
the population, by `members_of`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus")
OPTIMIZERS = ("gd", "sgd", "adam")
INITIALIZATIONS = ("xavier", "he")
LOSSES_OF_TASK = {
    "regression": ("squared_error",),
    "binary": ("binary_cross_entropy",),
    "multiclass": ("cross_entropy",),
}
SWEEP_PATHS = ("seed", "optimizer.learning_rate")


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
    betas: tuple[float, float] = (0.9, 0.999)


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
    overrides: Mapping[str, Any] = field(default_factory=dict)


def members_of(spec: Mapping[str, Any]) -> tuple[MemberSpec, ...]:
    """The members of a resolved run spec, a sweep's keys in order of path, the last fastest."""
    return tuple(_member(spec, index, overrides) for index, overrides in enumerate(overrides_of(spec)))


def overrides_of(spec: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    sweep: Mapping[str, Sequence[Any]] = spec.get("sweep") or {}
    paths = sorted(sweep)
    return [dict(zip(paths, values, strict=True)) for values in product(*(sweep[path] for path in paths))]


def _member(spec: Mapping[str, Any], index: int, overrides: Mapping[str, Any]) -> MemberSpec:
    optimizer = spec["optimizer"]
    return MemberSpec(
        index=index,
        seed=overrides.get("seed", spec["seed"]),
        network=NetworkSpec(
            tuple(LayerSpec(layer["units"], layer["activation"]) for layer in spec["network"]["layers"])
        ),
        optimizer=OptimizerSpec(
            name=optimizer["name"],
            learning_rate=overrides.get("optimizer.learning_rate", optimizer["learning_rate"]),
            betas=tuple(optimizer["betas"]),
        ),
        loss=spec["loss"],
        epochs=spec["epochs"],
        batch_size=None if spec["batch_size"] == "full" else spec["batch_size"],
        initialization=spec["initialization"],
        overrides=dict(overrides),
    )
