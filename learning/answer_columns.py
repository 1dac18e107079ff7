"""Answers as columns with names, for whoever tells of them in a table and not in JSON.

    column                                       which answers have it
    prediction                                   one target
    prediction_<target>                          each target of a list
    probability_<class>, probability_<target>    with `probabilities`; of labels, that the target is true
    low, high; low_<target>, high_<target>       with `interval`, of numbers
    in_set_<class>                               with `interval`, of classes: whether the class may be
    in_set_<target>_false, in_set_<target>_true  the same of each label

A number without a value, as the end of an interval for which there were too few validation rows, is missing.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from learning.columns import CategoricalColumn, Column, NumericColumn
from learning.conformal import Calibration
from learning.model import Prediction
from learning.targets import Target
from learning.vocabulary import Value


def answer_columns(
    prediction: Prediction,
    *,
    probabilities: bool = False,
    interval: float | None = None,
    calibration: Calibration | None = None,
) -> dict[str, Column]:
    """The columns of N answers, in order; an `interval` needs the `calibration`, and probabilities a target of classes.

    A label is coded by the target's classes, whatever classes these rows have; a yes or no by False and True. A row
    that has no answer is missing in all of them.
    """
    found = dict(_predictions(prediction))
    target = prediction.target
    if probabilities:
        names = [f"probability_{spelled(outcome)}" for outcome in target.outcomes or ()]
        found |= zip(names, map(_numbers, prediction.probabilities().unbind(1)), strict=True)
    if interval is not None:
        assert calibration is not None, "who asks for an interval has looked whether there is one"
        found |= _within(target, calibration, prediction, interval)
    rows = prediction.overflowed()
    return {name: _without(column, rows) for name, column in found.items()} if rows else found


def _without(column: Column, rows: list[int]) -> Column:
    if isinstance(column, CategoricalColumn):
        codes = column.codes.clone()
        codes[rows] = -1
        return CategoricalColumn(codes, column.values)
    values = column.values.clone()
    values[rows] = torch.nan
    return type(column)(values)


def spelled(value: Value) -> str:
    """A class in a column's name, and in CSV: as JSON has it, without the quotes of a text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _predictions(prediction: Prediction) -> Iterator[tuple[str, Column]]:
    target = prediction.target
    if target.classes is not None:
        yield _of("prediction", target, 0), CategoricalColumn(target.choices(prediction.outputs), target.classes)
        return
    several = target.choices(prediction.outputs) if target.task == "multilabel" else prediction.values()
    make = _flags if target.task == "multilabel" else _numbers
    for place, values in enumerate(several.unbind(1)):
        yield _of("prediction", target, place), make(values)


def _within(
    target: Target, calibration: Calibration, prediction: Prediction, level: float
) -> Iterator[tuple[str, Column]]:
    if target.task == "regression":
        for place, ends in enumerate(calibration.ends(prediction.values(), level).unbind(1)):
            yield _of("low", target, place), _numbers(ends[:, 0])
            yield _of("high", target, place), _numbers(ends[:, 1])
        return
    inside = calibration.inside(prediction.probabilities(), level)
    if target.task == "multilabel":
        for name, label in zip(target.names, inside.unbind(1), strict=True):
            yield f"in_set_{name}_false", _flags(label[:, 0])
            yield f"in_set_{name}_true", _flags(label[:, 1])
        return
    for each, here in zip(target.classes or (), inside.unbind(1), strict=True):
        yield f"in_set_{spelled(each)}", _flags(here)


def _of(what: str, target: Target, place: int) -> str:
    return f"{what}_{target.names[place]}" if target.listed else what


def _numbers(values: Tensor) -> NumericColumn:
    return NumericColumn(torch.where(values.isfinite(), values, torch.nan))


def _flags(values: Tensor) -> CategoricalColumn:
    return CategoricalColumn(values.long(), (False, True))
