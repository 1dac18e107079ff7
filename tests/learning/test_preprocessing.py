import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from learning.columns import CategoricalColumn, NumericColumn, take
from learning.errors import NoUsableFeature, UnusableColumn
from learning.numeric import Number
from learning.preprocessing import BLOCK, FARTHEST, Preprocessing
from tests.learning.columns import NAN, categorical, fit, numeric


def test_numbers_are_standardised_as_scikit_learn_does():
    values = np.random.default_rng(0).normal(5.0, 300.0, size=(500, 3))
    table = {name: NumericColumn(torch.from_numpy(values[:, i].copy())) for i, name in enumerate("abc")}
    preprocessing = fit(table, rows=range(400))
    scaler = StandardScaler().fit(values[:400])
    assert np.allclose([f.number.shift for f in preprocessing.fitted], scaler.mean_, rtol=1e-13)
    assert np.allclose([f.number.scale for f in preprocessing.fitted], scaler.scale_, rtol=1e-13)
    assert np.allclose(preprocessing.encode(table).numpy(), scaler.transform(values), atol=1e-6)


def test_only_the_train_rows_are_looked_at():
    table = {"x": numeric(1.0, 3.0, 100.0, NAN), "c": categorical([0, 1, 2, -1], ["a", "b", "late"])}
    preprocessing = fit(table, rows=[0, 1])
    number, category = preprocessing.fitted
    assert number.number == Number(2.0, 2.0, 1.0, flagged=False)
    assert category.vocabulary.categories == ("a", "b")
    assert not category.vocabulary.missing


def test_a_missing_number_is_the_mean_and_raises_a_flag():
    encoded = fit({"x": numeric(1.0, NAN, 3.0)}).encode({"x": numeric(1.0, NAN, 3.0)})
    assert encoded.tolist() == [[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]


def test_a_number_missing_only_at_prediction_is_the_mean():
    preprocessing = fit({"x": numeric(1.0, 3.0)})
    assert preprocessing.width == 1
    assert preprocessing.encode({"x": numeric(NAN)}).tolist() == [[0.0]]


def test_without_scaling_numbers_pass_and_the_mean_still_fills():
    table = {"x": numeric(1.0, NAN, 4.0)}
    assert fit(table, scaling="none").encode(table).tolist() == [[1.0, 0.0], [2.5, 1.0], [4.0, 0.0]]


def test_infinite_numbers_are_missing_and_warned_about():
    table = {"x": numeric(1.0, 3.0, float("inf"))}
    preprocessing = fit(table)
    assert [warning["code"] for warning in preprocessing.warnings] == ["infinite_values"]
    assert preprocessing.encode(table).tolist() == [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]


def test_booleans_are_scaled_like_numbers():
    table = {"b": categorical([0, 1, 1, 1], [False, True])}
    preprocessing = fit(table)
    assert preprocessing.fitted[0].type == "boolean"
    assert preprocessing.encode(table)[:, 0].tolist() == pytest.approx([-math.sqrt(3)] + [1 / math.sqrt(3)] * 3)


def test_categories_are_one_hot_by_code_point_with_places_for_unknown_and_missing():
    preprocessing = fit({"c": categorical([0, 1, -1], ["b", "a"])})
    request = {"c": categorical([0, 1, 2, -1], ["a", "b", "never seen"])}
    assert preprocessing.encode(request).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_a_category_missing_only_at_prediction_is_unknown():
    preprocessing = fit({"c": categorical([0, 1], ["a", "b"])})
    assert preprocessing.encode({"c": categorical([-1], [])}).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize(
    ("column", "code"),
    [
        (numeric(0.1, 0.1, 0.1), "constant_column"),
        (categorical([1, 1, 1], [False, True]), "constant_column"),
        (categorical([0, 0, 0], ["a", "b"]), "constant_column"),
        (numeric(NAN, NAN, NAN), "missing_column"),
        (categorical([-1, -1, -1], ["a"]), "missing_column"),
    ],
)
def test_a_column_with_nothing_to_tell_is_ignored_with_a_warning_and_keeps_its_place(column, code):
    preprocessing = fit({"dull": column, "x": numeric(1.0, 2.0, 3.0)})
    assert preprocessing.features == ("dull", "x")
    assert preprocessing.width == 1
    assert [(w["column"], w["code"]) for w in preprocessing.warnings] == [("dull", code)]


def test_a_number_that_is_the_same_wherever_it_is_present_tells_only_whether_it_is():
    preprocessing = fit({"x": numeric(7.0, NAN, 7.0)})
    assert preprocessing.encode({"x": numeric(7.0, 900.0, NAN)}).tolist() == [[0.0], [0.0], [1.0]]


def test_a_category_that_is_the_only_one_tells_whether_it_is_there():
    preprocessing = fit({"c": categorical([0, -1, 0], ["a"])})
    assert preprocessing.warnings == []
    assert preprocessing.encode({"c": categorical([0, -1], ["a"])}).tolist() == [[1, 0, 0], [0, 0, 1]]


def test_nothing_left_to_learn_from_is_refused():
    with pytest.raises(NoUsableFeature):
        fit({"x": numeric(1.0, 1.0)})


def test_a_feature_that_is_not_in_the_table_is_refused_by_name():
    table = {"x": numeric(1.0, 2.0)}
    with pytest.raises(UnusableColumn) as refusal:
        Preprocessing.fit(table, ["x", "story"], torch.arange(2), "standard")
    assert refusal.value.column == "story"
    with pytest.raises(UnusableColumn):
        fit(table).encode({"y": numeric(1.0)})


def test_text_for_a_number_is_refused_by_name():
    with pytest.raises(UnusableColumn) as refusal:
        fit({"x": numeric(1.0, 2.0)}).encode({"x": categorical([0], ["1"])})
    assert refusal.value.column == "x"


def test_a_far_outlier_stays_finite():
    encoded = fit({"x": numeric(0.0, 1e-30)}).encode({"x": numeric(1e308, -1e308)})
    assert encoded.tolist() == [[FARTHEST], [-FARTHEST]]


@given(st.lists(st.floats(-1e308, 1e308), min_size=2, max_size=30, unique=True))
def test_standardised_train_rows_have_mean_zero_and_deviation_one(values):
    table = {"x": numeric(*values), "spare": numeric(*range(len(values)))}
    preprocessing = fit(table)
    if preprocessing.fitted[0].width:  # numbers so near zero that their spread is none count as constant
        encoded = preprocessing.encode(table)[:, 0].double()
        assert encoded.mean().item() == pytest.approx(0.0, abs=1e-5)
        assert encoded.std(correction=0).item() == pytest.approx(1.0, rel=1e-5)


def test_a_table_over_several_blocks_is_encoded_like_its_rows():
    count = 2 * BLOCK + 3
    table = {
        "x": NumericColumn(torch.linspace(0, 1, count, dtype=torch.float64)),
        "c": CategoricalColumn(torch.arange(count) % 3, ("a", "b", "c")),
    }
    preprocessing = fit(table)
    encoded = preprocessing.encode(table)
    rows = torch.tensor([count - 1, 0, BLOCK, BLOCK - 1])
    assert preprocessing.encode(table, rows).equal(encoded[rows])
    assert encoded[BLOCK:].equal(preprocessing.encode(table, torch.arange(BLOCK, count)))
    last = {name: take(column, slice(-1, None)) for name, column in table.items()}
    assert encoded[-1:].equal(preprocessing.encode(last))
