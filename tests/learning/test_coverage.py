"""Conformal intervals and sets of networks that the engine trained: nine in ten held-out rows are covered."""

import numpy as np
import pytest
import torch

from learning.answers import answers_of, truth_of
from learning.columns import CategoricalColumn, NumericColumn, take
from learning.conformal import Calibration, scores_of
from learning.experiment import prepare
from learning.fitting import fit
from learning.keeping import Kept, keep

HELD_OUT = 2_000
SPEC = {
    "features": ["x", "u", "colour"],
    "test": {"fraction": 0.0},
    "scaling": "standard",
    "network": {"layers": [{"units": 12, "activation": "tanh"}]},
    "optimizer": {"name": "adam", "learning_rate": 0.02, "betas": [0.9, 0.999]},
    "epochs": 8,
    "batch_size": 32,
    "initialization": "xavier",
    "split_seed": 1,
}
TASKS = {
    "y": {"target": "y", "task": "regression", "loss": "squared_error"},
    "pair": {"target": ["y", "v"], "task": "regression", "loss": "huber"},
    "kind": {"target": "kind", "task": "multiclass", "loss": "cross_entropy"},
    "labels": {"target": ["late", "odd"], "task": "multilabel", "loss": "binary_cross_entropy"},
}


def table(rows, *, seed):
    """Noise that grows with x, and a category that matters: no model has it right."""
    x, u, noise, more = torch.randn(4, rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    colour = torch.arange(rows) % 3
    y = 2 * torch.sin(2 * x) + colour + noise * (0.3 + x.abs() / 2)
    return {
        "x": NumericColumn(x),
        "u": NumericColumn(u),
        "colour": CategoricalColumn(colour, ("red", "green", "blue")),
        "y": NumericColumn(y),
        "v": NumericColumn(100 * u + 40 * more),
        "kind": CategoricalColumn((y + u > 0).long() + (y > 2).long(), ("low", "middle", "high")),
        "late": CategoricalColumn((y > 1).long(), (False, True)),
        "odd": CategoricalColumn((u + more > 0.5).long(), (False, True)),
    }


def trained(spec, columns):
    """The experiment, and all its members' models."""
    experiment = prepare(spec, columns)
    *_, last = fit(experiment.members, experiment.data)
    kept = Kept(*keep(experiment, last.trained(), [member.index for member in experiment.members]))
    return experiment, kept


def covered(calibration, prediction, encoded):
    """Of each target, the share of rows whose truth is inside."""
    target = calibration.target
    answers, truth = answers_of(target, prediction.outputs), truth_of(target, encoded)
    if target.task == "regression":
        ends = torch.tensor(calibration.intervals(answers, 0.9), dtype=torch.float64).view(len(truth), -1, 2)
        return ((ends[:, :, 0] <= truth) & (truth <= ends[:, :, 1])).double().mean(0).tolist()
    sets = calibration.sets(answers, 0.9)
    if target.task == "multiclass":
        return [np.mean([target.classes[code] in row for row, code in zip(sets, truth.tolist(), strict=True)])]
    return np.mean(
        [[bool(each) in label for label, each in zip(*row, strict=True)] for row in zip(sets, truth, strict=True)], 0
    ).tolist()


def parts(columns, rows):
    return ({name: take(column, part) for name, column in columns.items()} for part in rows)


@pytest.mark.parametrize("name", TASKS)
def test_nine_in_ten_held_out_rows_are_covered(name):
    """Over 20 repeats, each with 2,000 rows of validation by which the best epoch was chosen too."""
    found = []
    for repeat in range(20):
        columns = table(2_500 + HELD_OUT, seed=repeat)
        known, held_out = parts(columns, (slice(0, 2_500), slice(2_500, None)))
        experiment, kept = trained({**SPEC, **TASKS[name], "seed": repeat, "validation": {"fraction": 0.8}}, known)
        (fold,) = experiment.folds
        assert fold.validation.rows == 2_000
        model = kept.model()
        (validation,) = parts(known, [fold.rows.validation])
        outputs = model.predict(validation).outputs
        calibration = Calibration.fit(fold.target, answers_of(fold.target, outputs), fold.validation.targets)
        found.append(covered(calibration, model.predict(held_out), fold.target.encode(held_out)))
    found = np.array(found)
    assert (found.mean(0) > 0.89).all()
    assert (found.mean(0) < 0.91).all()
    assert ((found > 0.86) & (found < 0.94)).all()


@pytest.mark.parametrize("name", ["y", "kind"])
def test_folds_cover_together_what_their_mean_predicts(name):
    found = []
    for repeat in range(5):
        known, held_out = parts(table(1_500 + HELD_OUT, seed=repeat), (slice(0, 1_500), slice(1_500, None)))
        experiment, kept = trained({**SPEC, **TASKS[name], "seed": repeat, "validation": {"folds": 5}}, known)
        scores = []
        for member in experiment.members:
            fold = experiment.fold_of(member)
            (validation,) = parts(known, [fold.rows.validation])
            outputs = kept.model(member.index).predict(validation).outputs
            scores.append(scores_of(fold.target, answers_of(fold.target, outputs), fold.validation.targets))
        model = kept.model()
        calibration = Calibration.of(model.target, scores)
        assert calibration.rows == 1_500
        found.append(covered(calibration, model.predict(held_out), model.target.encode(held_out)))
    assert 0.88 < np.mean(found) < 0.94
