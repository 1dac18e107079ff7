"""A run of ours that says nothing but its table and target, as the service would train it and answer from it."""

import os
from typing import Any

import numpy as np
import torch

from benchmarks.tables import DataTable
from learning.columns import CategoricalColumn, Column, NumericColumn, Table
from learning.experiment import prepare
from learning.fitting import fit
from learning.network import Predictor
from learning.specs import LOSSES_OF_TASK
from service.resolution.recipes import AUTO_INITIALIZATION, DEFAULT, supplied

TEST = 0.2


def answers(table: DataTable, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The test rows, and of each its number, [n], or its probabilities, [n, C]."""
    experiment = prepare(spec(table, seed), columns(table))
    for pulse in fit(experiment.members, experiment.data, threads=os.cpu_count() or 1):
        last = pulse
    trained, found = last.trained(), []
    for member in experiment.members:
        fold = experiment.fold_of(member)
        assert fold.test
        outputs = Predictor(member.network, trained.tensors(member.index))(fold.test.inputs)
        target = fold.target
        found.append(target.numbers(outputs)[:, 0] if target.classes is None else target.probabilities(outputs))
    return experiment.folds[0].rows.test.numpy(), torch.stack(found).mean(0).numpy()


def spec(table: DataTable, seed: int) -> dict[str, Any]:
    task = "regression" if table.classes is None else "binary" if table.classes == 2 else "multiclass"
    recipe = supplied(DEFAULT, table.rows, ())
    if task == "regression":
        recipe["label_smoothing"] = 0.0  # there are no labels
    if recipe["initialization"] == "auto":
        recipe["initialization"] = AUTO_INITIALIZATION
    return {
        **recipe,
        "target": "target",
        "features": list(table.columns),
        "task": task,
        "loss": LOSSES_OF_TASK[task][0],
        "test": {"fraction": TEST},
        "seed": seed,
        "split_seed": seed,
        "sweep": {},
        "members": [],
        "class_weights": None,
        "sample_weight": None,
    }


def columns(table: DataTable) -> Table:
    return {name: _column(values) for name, values in table.columns.items()} | {"target": _column(table.target)}


def _column(values: np.ndarray) -> Column:
    if values.dtype != object:
        return NumericColumn(torch.from_numpy(values.astype(float)))
    texts, codes = np.unique(values, return_inverse=True)
    return CategoricalColumn(torch.from_numpy(codes), tuple(texts.tolist()))
