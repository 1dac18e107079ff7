"""How good a model is on rows that it has not seen, in numbers for JSON: what `/evaluation` tells.

A figure that is undefined is null, or its curve is left out; there is no NaN and no infinity in JSON.
"""

import math
from typing import Any

import torch
from torch import Tensor

from learning.answers import chosen, questions, truth_of
from learning.metrics import metrics_of, of_numbers
from learning.quantiles import quantiles
from learning.ranking import Curve, Ranking
from learning.reliability import BINS, Reliability
from learning.tally import Tally
from learning.targets import Target

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
MOST_CURVES = 32  # classes or labels with curves of their own: those with the most rows
MOST_CONFUSED = 100  # classes with a row and a column in the confusion matrix


def assess(
    target: Target, answers: Tensor, encoded: Tensor, *, baseline: Tensor, linear: Tensor | None
) -> dict[str, Any]:
    """Of at least one row: the model's `answers` [N, C or T] and the encoded targets, beside what `baseline` answers.

    `linear` are the answers of a fit without a hidden layer, None where it did not come to one.
    """
    said = {"metrics": answers, "baseline": baseline, "linear": linear}
    found: dict[str, Any] = {"rows": len(encoded)}
    found |= {name: None if each is None else summary(target, each, encoded) for name, each in said.items()}
    truth = truth_of(target, encoded)
    details = _numbers if target.task == "regression" else _classes
    return found | details(target, answers, truth)


def summary(target: Target, answers: Tensor, encoded: Tensor) -> dict[str, float | None]:
    """The metrics as of a run, and of classes precision and recall, each one number as f1 is."""
    found = metrics_of(target, answers, encoded)
    if target.task != "regression":
        tally = Tally.of(target, chosen(target, answers), truth_of(target, encoded))
        found |= {"precision": tally.overall(tally.precision), "recall": tally.overall(tally.recall)}
    return {name: _finite(value) for name, value in found.items()}


def _numbers(target: Target, values: Tensor, truth: Tensor) -> dict[str, Any]:
    """Of each target its own metrics, and the quantiles of truth - value, linear between neighbours."""
    each = {name: _told(value) for name, value in of_numbers(values, truth).items()}
    residuals = quantiles(truth - values, QUANTILES)
    return {
        "per_target": [
            {"target": name, **{metric: value[index] for metric, value in each.items()}}
            for index, name in enumerate(target.names)
        ],
        "residual_quantiles": [
            {"target": name, "levels": list(QUANTILES), "values": _told(column)}
            for name, column in zip(target.names, residuals.unbind(1), strict=True)
        ],
    }


def _classes(target: Target, answers: Tensor, truth: Tensor) -> dict[str, Any]:
    choices = chosen(target, answers)
    tally = Tally.of(target, choices, truth)
    names = list(target.outcomes or ())
    columns = {"precision": tally.precision, "recall": tally.recall, "f1": tally.f1, "support": tally.true}
    report = zip(names, *(column.tolist() for column in columns.values()), strict=True)
    return {
        "classes": names,
        "per_class": [dict(zip(("class", *columns), row, strict=True)) for row in report],
        **_confusion(target, choices, truth, tally),
        **_curves(target, answers, truth, tally),
        "calibration": _calibration(target, answers, truth, tally),
    }


def _confusion(target: Target, choices: Tensor, truth: Tensor, tally: Tally) -> dict[str, Any]:
    """Rows are true, columns chosen; of labels one matrix of false and true for each.

    Of more than MOST_CONFUSED classes those with the most rows are told apart, and a last row and column is all others.
    """
    if target.task == "multilabel":
        missed, wrong = tally.true - tally.hits, tally.chosen - tally.hits
        right = len(truth) - tally.hits - missed - wrong
        cells = torch.stack([right, wrong, missed, tally.hits], dim=1)
        return {"confusion_matrix": cells.view(-1, 2, 2).tolist()}
    classes = target.classes or ()
    apart = _commonest(tally, MOST_CONFUSED)
    size = len(apart) + (len(classes) > len(apart))
    place = torch.full((len(classes),), len(apart))
    place[apart] = torch.arange(len(apart))
    cells = torch.bincount(place[truth] * size + place[choices], minlength=size * size)
    return {
        "confusion_classes": [classes[index] for index in apart.tolist()],
        "confusion_matrix": cells.view(size, size).tolist(),
    }


def _curves(target: Target, answers: Tensor, truth: Tensor, tally: Tally) -> dict[str, Any]:
    """Of each class against the rest (of two, of the second), or of each label; none where all rows are alike in it."""
    names, told = target.outcomes or (), set(_commonest(tally, MOST_CURVES).tolist())
    roc, precise = [], []
    for column, scores, yes in questions(target, answers, truth):
        if (column in told or target.task == "binary") and bool(yes.any()) and not bool(yes.all()):
            ranking = Ranking.of(scores, yes)
            own = {"class": names[column]}
            roc.append({**own, "auc": ranking.area(), **_points(ranking.roc(), "fpr", "tpr")})
            area = {"average_precision": ranking.average_precision()}
            precise.append({**own, **area, **_points(ranking.precision_recall(), "recall", "precision")})
    return {"roc": roc, "precision_recall": precise}


def _points(curve: Curve, x: str, y: str) -> dict[str, Any]:
    return {x: _told(curve.x), y: _told(curve.y), "threshold": _told(curve.threshold)}


def _calibration(target: Target, answers: Tensor, truth: Tensor, tally: Tally) -> list[dict[str, Any]]:
    """Of two classes the probability of the second, of labels that of each; of more classes that of the chosen one."""
    if target.task == "multiclass":
        likeliest, choices = answers.max(1)
        return [{"class": None, **_bins(Reliability.of(likeliest, choices == truth))}]
    names, told = target.outcomes or (), set(_commonest(tally, MOST_CURVES).tolist())
    return [
        {"class": names[column], **_bins(Reliability.of(scores, yes))}
        for column, scores, yes in questions(target, answers, truth)
        if column in told
    ]


def _bins(found: Reliability) -> dict[str, Any]:
    edges = [index / BINS for index in range(BINS + 1)]
    columns = (edges[:-1], edges[1:], found.counts.tolist(), _told(found.predicted), _told(found.observed))
    names = ("from", "to", "count", "predicted", "observed")
    bins = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return {"expected_error": found.error, "bins": bins}


def _commonest(tally: Tally, most: int) -> Tensor:
    """The places of at most so many classes, in order: those with the most rows."""
    return torch.sort(tally.true, descending=True, stable=True).indices[:most].sort().values


def _told(values: Tensor) -> list[float | None]:
    return [_finite(value) for value in values.tolist()]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
