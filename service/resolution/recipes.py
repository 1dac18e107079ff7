"""Recipes: versioned names for sets of defaults. What a name stands for never changes; a better set gets a new one."""

from collections.abc import Mapping
from typing import Any

STANDARD_1: Mapping[str, Any] = {
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

DEFAULT = "standard-1"
AUTO_INITIALIZATION = "xavier"  # also for relu, where it was better than He's on every table: docs/decisions.md, 5
RECIPES: Mapping[str, Mapping[str, Any]] = {DEFAULT: STANDARD_1}
