"""Answers in columns say what answers in JSON say, under names that every table of predictions shares."""

import math

import pytest
import torch

from learning.answer_columns import answer_columns
from learning.columns import CategoricalColumn
from learning.conformal import Calibration
from learning.model import Prediction
from learning.targets import Target

F64 = torch.float64
NUMBER = Target("regression", ("y",), False, None, (3.0,), (10.0,))
NUMBERS = Target("regression", ("a", "b"), True, None, (0.0, 0.0), (1.0, 5.0))
KIND = Target("multiclass", ("y",), False, ("a", "b", "c"), (), ())
GRADE = Target("multiclass", ("y",), False, (1, 2, 3), (), ())
FLAG = Target("binary", ("y",), False, (False, True), (), ())
LABELS = Target("multilabel", ("wet", "cold"), True, None, (), ())


def outputs(target, rows=5):
    return torch.randn(rows, target.width, generator=torch.Generator().manual_seed(1), dtype=torch.float32)


def said(column):
    """The column's values as JSON has them."""
    if isinstance(column, CategoricalColumn):
        return [column.values[code] for code in column.codes.tolist()]
    return [None if math.isnan(value) else value for value in column.values.tolist()]


@pytest.mark.parametrize(
    ("target", "names"),
    [
        (NUMBER, ["prediction", "low", "high"]),
        (NUMBERS, ["prediction_a", "prediction_b", "low_a", "high_a", "low_b", "high_b"]),
        (KIND, ["prediction", *(f"{what}_{each}" for what in ("probability", "in_set") for each in "abc")]),
        (GRADE, ["prediction", *(f"{what}_{each}" for what in ("probability", "in_set") for each in "123")]),
        (
            FLAG,
            ["prediction", "probability_false", "probability_true", "in_set_false", "in_set_true"],
        ),
        (
            LABELS,
            [
                *("prediction_wet", "prediction_cold", "probability_wet", "probability_cold"),
                *("in_set_wet_false", "in_set_wet_true", "in_set_cold_false", "in_set_cold_true"),
            ],
        ),
    ],
)
def test_the_columns_of_every_task_and_what_they_say(target, names):
    prediction = Prediction(target, outputs(target))
    scores = torch.rand(2 if target.listed else 1, 40, generator=torch.Generator().manual_seed(2), dtype=F64)
    calibration = Calibration.of(target, [scores])
    classes = target.outcomes is not None
    found = answer_columns(prediction, probabilities=classes, interval=0.8, calibration=calibration)

    assert list(found) == names
    told = list(zip(*(said(column) for column in found.values()), strict=True))
    for row, predicted in zip(told, prediction.predictions(), strict=True):
        assert list(row[: len(target.names)]) == (predicted if target.listed else [predicted])
    if not classes:
        within = calibration.intervals(prediction.values(), 0.8)
        ends = [[*row[len(target.names) :]] for row in told]
        assert ends == [[end for pair in row for end in pair] if target.listed else row for row in within]
        return
    width = len(target.outcomes)
    start = len(target.names)
    assert [list(row[start : start + width]) for row in told] == prediction.probabilities().tolist()
    sets = calibration.sets(prediction.probabilities(), 0.8)
    for row, each in zip(told, sets, strict=True):
        flags = row[start + width :]
        if target.task == "multilabel":
            pairs = [flags[place : place + 2] for place in range(0, len(flags), 2)]
            assert [[value for value, here in zip((False, True), pair, strict=True) if here] for pair in pairs] == each
        else:
            assert [value for value, here in zip(target.classes, flags, strict=True) if here] == each


def test_without_options_there_are_only_predictions():
    assert list(answer_columns(Prediction(KIND, outputs(KIND)))) == ["prediction"]


def test_an_end_that_nobody_knows_is_missing():
    calibration = Calibration.of(NUMBER, [torch.rand(1, 3, dtype=F64)])
    found = answer_columns(Prediction(NUMBER, outputs(NUMBER)), interval=0.99, calibration=calibration)
    assert said(found["low"]) == said(found["high"]) == [None] * 5
