"""Recipes: versioned names for sets of defaults. What a name stands for never changes; a better set gets a new one.

What a recipe supplies may follow from the dataset's number of rows: the resolved spec says what came of it. And what
was measured together goes together: a learning rate says little without its schedule and epochs, and a way to scale was
chosen for one network. So who names a part of such a set has the rest of it from `standard-1`, the plainest there is.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

Settings = Mapping[str, Any]

STANDARD_1: Settings = {
    "network": {
        "layers": [
            {"units": 64, "activation": "tanh", "dropout": 0.0, "normalization": None},
            {"units": 64, "activation": "tanh", "dropout": 0.0, "normalization": None},
        ]
    },
    "optimizer": {
        "name": "adam",
        "learning_rate": 1e-3,
        "momentum": 0.0,
        "nesterov": False,
        "betas": [0.9, 0.999],
        "weight_decay": 0.0,
        "clip_norm": None,
    },
    "schedule": {"name": "constant", "warmup_epochs": 0},
    "epochs": 100,
    "batch_size": 32,
    "validation": {"fraction": 0.2},
    "early_stopping": None,
    "initialization": "auto",
    "scaling": "standard",
    "label_smoothing": 0.0,
}
FEW_ROWS = 1_000  # up to which a network is soon too sure of what it has seen
MANY_ROWS = 20_000  # above which 60 epochs in steps of 32 rows are more than it takes


def standard_1(_rows: int) -> Settings:
    return STANDARD_1


def standard_2(rows: int) -> Settings:
    layer = {"units": 128, "activation": "gelu", "dropout": 0.2, "normalization": None}
    few, many = rows <= FEW_ROWS, rows > MANY_ROWS
    rate = 5e-4 if few else 4e-3
    return {
        **STANDARD_1,
        "network": {"layers": [dict(layer) for _ in range(3)]},
        "optimizer": {**STANDARD_1["optimizer"], "name": "adamw", "learning_rate": rate, "weight_decay": 0.1},
        "schedule": {"name": "cosine", "warmup_epochs": 0, "floor": 0.0},
        "epochs": 100 if few else 40 if many else 60,
        "batch_size": 128 if many else 32,
        "validation": {"fraction": 0.1},
        "initialization": "lecun",
        "scaling": "standard" if few else "robust",
        "label_smoothing": 0.15 if few else 0.0,
    }


DEFAULT = "standard-2"
RECIPES: Mapping[str, Callable[[int], Settings]] = {"standard-1": standard_1, DEFAULT: standard_2}
AUTO_INITIALIZATION = "xavier"  # also for relu, where it was better than He's on every table: docs/decisions.md, 5
_OF_ALL = ("validation", "label_smoothing")  # how little validation will do, and how sure to be: measured of the whole
# Fields that say what they say only beside others, and which those are.
COMPANY: Mapping[str, tuple[str, ...]] = {
    "network": ("scaling", "initialization", *_OF_ALL),
    "optimizer": ("schedule", "epochs", *_OF_ALL),
    "schedule": ("optimizer", "epochs", *_OF_ALL),
    "epochs": ("optimizer", "schedule", *_OF_ALL),
    "loss": ("label_smoothing",),
}


def supplied(name: str, rows: int, named: Collection[str]) -> dict[str, Any]:
    """What this recipe has for a dataset of so many rows, where the request names these fields."""
    lost = {each for field in named if field in COMPANY for each in (field, *COMPANY[field])}
    return {**RECIPES[name](rows), **{field: STANDARD_1[field] for field in lost & STANDARD_1.keys()}}


def named_by(asked: Mapping[str, Any]) -> set[str]:
    """The fields that a request says something of, for the run or for some of its members."""
    return {path.partition(".")[0] for path in (*asked, *_paths(asked))}


def _paths(asked: Mapping[str, Any]) -> Iterator[str]:
    for own in (asked.get("sweep", {}), *asked.get("members", [])):
        if isinstance(own, Mapping):  # what is not is refused elsewhere
            yield from own
