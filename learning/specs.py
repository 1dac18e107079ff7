"""What is to be trained, as plain values: networks, optimizers, members. No torch here, so anyone may name them.

A resolved run spec (the JSON of the API, every default filled in) becomes a tuple of `MemberSpec`, one per network of
the population, by `members_of`.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus")
OPTIMIZERS = ("gd", "sgd", "adam", "adamw", "rmsprop")
NORMALIZATIONS = ("batch", "layer")
INITIALIZATIONS = ("xavier", "xavier_normal", "he", "he_uniform", "lecun", "zeros")
LOSSES_OF_TASK = {
    "regression": ("squared_error", "absolute_error", "huber", "poisson"),
    "binary": ("binary_cross_entropy",),
    "multiclass": ("cross_entropy",),
    "multilabel": ("binary_cross_entropy",),
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
    "network",
    "batch_size",
    "epochs",
    "loss",
    "class_weights",
    *(
        f"optimizer.{name}"
        for name in ("name", "learning_rate", "momentum", "nesterov", "betas", "weight_decay", "clip_norm")
    ),
    "schedule.name",
    "schedule.warmup_epochs",
    *(f"schedule.{name}" for name in dict.fromkeys(name for settings in SCHEDULES.values() for name in settings)),
    "early_stopping.patience",
    "early_stopping.min_delta",
)


@dataclass(frozen=True)
class LayerSpec:
    """One hidden layer: its neurons' sums are normalized, go through the activation, and some are dropped."""

    units: int
    activation: str = "relu"
    dropout: float = 0.0  # the probability of a unit's output to be zero in a training step
    normalization: str | None = None  # "batch", "layer"


@dataclass(frozen=True)
class EmbeddingSpec:
    """A column of `categories` indices, each of which is looked up as `units` learned numbers: 1, 2, 4, 8 or 16."""

    categories: int
    units: int


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
    """One network of a population and how it is trained; `overrides` is where it differs from its run's spec.

    `fold` is the part of the rows that it is validated on and not trained on; None where there are no folds.
    """

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
    label_smoothing: float = 0.0
    fold: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


def class_key(value: str | float | bool) -> str:
    """Return a class as a key of JSON: text as it is, a whole number by its digits, anything else as JSON writes it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # 2.0 and 2 are one class, and so are 1e20 and its 21 digits
    return value if isinstance(value, str) else json.dumps(value)


def class_named(name: str, keys: Collection[str], *, numeric: bool) -> str | None:
    """Return the key of the class that is so named, of numbers in any spelling (`2.0`, `1e20`); None for no class."""
    if name in keys or not numeric:
        return name if name in keys else None
    try:
        key = class_key(float(name))
    except (ValueError, OverflowError):
        return None
    return key if key in keys else None


def members_of(spec: Mapping[str, Any]) -> tuple[MemberSpec, ...]:
    """The members of a resolved run spec, in the order of `drafts_of`."""
    return tuple(_member(spec, index, overrides, fold) for index, (overrides, fold) in enumerate(drafts_of(spec)))


def drafts_of(spec: Mapping[str, Any]) -> list[tuple[dict[str, Any], int | None]]:
    """Each member's overrides and fold: for each setting all its folds, one after another."""
    return [(overrides, fold) for overrides in overrides_of(spec) for fold in folds_of(spec)]


def overrides_of(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each setting overrides, with what follows from it."""
    return [completed(spec, own) for own in settings_of(spec)]


def settings_of(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is asked for each setting: as `members` lists them, or a sweep's keys in order of path, the last fastest."""
    if spec.get("members"):
        return [dict(own) for own in spec["members"]]
    sweep: Mapping[str, Sequence[Any]] = spec.get("sweep") or {}
    paths = sorted(sweep)
    return [dict(zip(paths, values, strict=True)) for values in product(*(sweep[path] for path in paths))]


def folds_of(spec: Mapping[str, Any]) -> tuple[int | None, ...]:
    """The folds that each setting is trained for: all, or the one asked for; (None,) where there are none."""
    validation = spec.get("validation") or {}
    if "folds" not in validation:
        return (None,)
    return tuple(range(validation["folds"])) if validation.get("fold") is None else (validation["fold"],)


def moments_of(members: Sequence[MemberSpec]) -> tuple[str, ...]:
    """What the optimizers of a population remember: of each member what any of them needs."""
    return tuple(dict.fromkeys(name for member in members for name in member.optimizer.moments))


def completed(spec: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides and what follows: another schedule comes with its own settings, gd takes all rows in one step."""
    found = dict(own)
    name = own.get("schedule.name")
    if name is not None and name != spec["schedule"]["name"]:
        found = {**{f"schedule.{setting}": value for setting, value in SCHEDULES[name].items()}, **own}
    if own.get("optimizer.name") == "gd" and spec["batch_size"] != "full":
        found.setdefault("batch_size", "full")
    return found


def overridden(spec: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of one member; a path is a field, or a field of an object, `optimizer.learning_rate`."""
    found = dict(spec)
    for path, value in completed(spec, overrides).items():
        name, _, inner = path.partition(".")
        found[name] = {**found[name], inner: value} if inner else value
    if "schedule.name" in overrides:  # what the run's own schedule had, this one may not know
        known = ("name", "warmup_epochs", *SCHEDULES[overrides["schedule.name"]])
        found["schedule"] = {name: value for name, value in found["schedule"].items() if name in known}
    return found


def network_of(found: Mapping[str, Any]) -> NetworkSpec:
    """From `{"layers": [{"units", "activation", "dropout", "normalization"}]}`."""
    return NetworkSpec(tuple(LayerSpec(**layer) for layer in found["layers"]))


def _member(spec: Mapping[str, Any], index: int, overrides: Mapping[str, Any], fold: int | None) -> MemberSpec:
    spec = overridden(spec, overrides)
    return MemberSpec(
        index=index,
        seed=spec["seed"],
        network=network_of(spec["network"]),
        optimizer=OptimizerSpec(**{**spec["optimizer"], "betas": tuple(spec["optimizer"]["betas"])}),
        loss=spec["loss"],
        epochs=spec["epochs"],
        batch_size=None if spec["batch_size"] == "full" else spec["batch_size"],
        initialization=spec["initialization"],
        schedule=ScheduleSpec(**(spec.get("schedule") or {})),
        early_stopping=EarlyStoppingSpec(**spec["early_stopping"]) if spec.get("early_stopping") else None,
        label_smoothing=spec.get("label_smoothing", 0.0),
        fold=fold,
        overrides=dict(overrides),
    )


def columns_of(spec: Mapping[str, Any]) -> list[str]:
    """Return the columns that a run reads, by its resolved spec."""
    target = spec["target"]
    names = [*spec["features"], *([target] if isinstance(target, str) else target)]
    return names + [name for name in (spec["sample_weight"], (spec["validation"] or {}).get("column")) if name]
