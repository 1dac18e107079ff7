"""Weights of classes reach the classes that they name, however a number is spelled."""

import pytest
import torch

from learning.columns import CategoricalColumn, NumericColumn
from learning.errors import UnusableColumn
from learning.specs import class_key, class_named
from learning.targets import Target
from learning.weighting import Weighting

F64 = torch.float64


def numbers(*values):
    return NumericColumn(torch.tensor([*values] * 3, dtype=F64))


def words(*values):
    return CategoricalColumn(torch.arange(len(values)).repeat(3), values)


@pytest.mark.parametrize(
    ("column", "asked", "expected"),
    [
        (numbers(2, 3), {"2": 5}, (5, 1)),
        (numbers(2, 3), {"2.0": 5}, (5, 1)),
        (numbers(2, 3.5), {"2": 5, "3.5": 7}, (5, 7)),
        (numbers(2, 3.5), {"2.0": 5}, (5, 1)),
        (numbers(2, 1e20), {"2": 1000}, (1000, 1)),
        (numbers(2, 1e20), {"100000000000000000000": 7}, (1, 7)),
        (numbers(2, 1e20), {"1e20": 7, "2": 3}, (3, 7)),
        (numbers(5, 2.0**63), {"9223372036854775808": 7}, (1, 7)),
        (numbers(0, 2.0**64), {"18446744073709551616": 7, "0": 2}, (2, 7)),
        (numbers(-(2.0**63), 4), {"-9223372036854775808": 7}, (7, 1)),
        (numbers(-0.0, 1), {"0": 3}, (3, 1)),
        (words("10", "2"), {"10": 3}, (3, 1)),
        (words(False, True), {"true": 3}, (1, 3)),
    ],
)
def test_weight_is_of_the_class_that_is_named(column, asked, expected):
    task = "binary"
    target = Target.fit({"k": column}, "k", task, torch.arange(column.rows))
    found = Weighting.fit({"class_weights": asked}, {"k": column}, target, torch.arange(column.rows))
    assert found.of_class == expected


@pytest.mark.parametrize(("column", "name"), [(numbers(2, 3), "4"), (words("10", "2"), "1e1"), (words("a", "b"), "")])
def test_weight_of_no_class_is_refused(column, name):
    target = Target.fit({"k": column}, "k", "binary", torch.arange(column.rows))
    with pytest.raises(UnusableColumn, match="has no class"):
        Weighting.fit({"class_weights": {name: 2}}, {"k": column}, target, torch.arange(column.rows))


def test_a_number_has_one_key():
    assert [class_key(value) for value in (2, 2.0, -0.0, 1e20, 0.1, True, "2.0")] == [
        *("2", "2", "0", "100000000000000000000", "0.1", "true", "2.0"),
    ]
    assert class_named("inf", {"2"}, numeric=True) is None
    assert class_named("nan", {"2"}, numeric=True) is None


@pytest.mark.parametrize("largest", [2e307, 1e308, 1e306, 1.0, 1e-300, 5e-324])
def test_weights_count_by_their_proportions_alone(largest):
    weights = NumericColumn(torch.tensor([largest, largest / 2, 0.0], dtype=F64))
    target = Target.fit({"y": numbers(1, 2, 3)}, "y", "regression", torch.arange(3))
    found = Weighting("w", None).weights({"w": weights}, torch.arange(3), target)
    assert found.sum().isfinite()
    assert (found * 1e30).sum().isfinite()
    if largest > 1e-320:
        assert (found / found.sum()).tolist() == pytest.approx([2 / 3, 1 / 3, 0])


def test_ordinary_weights_keep_their_bits():
    weights = NumericColumn(torch.rand(100, dtype=F64) * 1e6)
    target = Target.fit({"y": numbers(*range(100))}, "y", "regression", torch.arange(100))
    assert torch.equal(Weighting("w", None).weights({"w": weights}, torch.arange(100), target), weights.values)
