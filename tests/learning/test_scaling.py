import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.scaling import smooth_clip, spread
from tests.learning.columns import NAN, categorical, fit, numeric


@settings(deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60))
def test_robust_scaling_is_by_the_median_and_the_distance_of_the_quartiles(values):
    first, median, third = np.quantile(values, [0.25, 0.5, 0.75])
    found = spread(torch.tensor(values, dtype=torch.float64), "robust")
    assert found.middle == pytest.approx(median, rel=1e-12, abs=1e-12)
    if third - first > 1e-12:
        assert found.spread == pytest.approx(third - first, rel=1e-9)
    elif third == first and max(values) - min(values) > 1e-12:
        assert found.spread == pytest.approx((max(values) - min(values)) / 2, rel=1e-9)


def test_where_the_quartiles_are_equal_half_the_range_is_the_scale():
    assert spread(torch.tensor([0.0] * 9 + [8.0], dtype=torch.float64), "robust") == (0.0, 4.0)


def test_a_column_that_is_one_number_has_no_spread():
    assert spread(torch.tensor([0.1] * 3, dtype=torch.float64), "robust") == (0.1, 0.0)


def test_the_order_of_the_rows_is_no_matter_to_a_quartile():
    values = torch.from_numpy(np.random.default_rng(3).normal(size=1001))
    assert spread(values, "robust") == spread(values.flip(0), "robust")


def test_the_largest_numbers_overflow_nothing():
    found = spread(torch.tensor([-1.7e308] * 4 + [1.7e308] * 4, dtype=torch.float64), "robust")
    assert found == (0.0, sys.float_info.max)


def test_a_robust_input_is_clipped_smoothly_after_scaling():
    values = [0.0, 1.0, 2.0, 3.0, 4.0]  # the median 2, the quartiles 1 and 3
    encoded = fit({"x": numeric(*values)}, scaling="robust").encode({"x": numeric(*values, 1e9, -1e300)})
    expected = [z / math.sqrt(1 + (z / 3) ** 2) for z in (-1.0, -0.5, 0.0, 0.5, 1.0)]
    assert encoded[:5, 0].tolist() == pytest.approx(expected, rel=1e-6)
    assert encoded[5:, 0].tolist() == [3.0, -3.0]


def test_the_smooth_clip_rises_everywhere_and_hardly_touches_what_is_near():
    x = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    found = smooth_clip(x)
    assert bool((found.diff() > 0).all())
    assert bool((found.abs() < 3).all())
    assert smooth_clip(torch.tensor([0.1], dtype=torch.float64)).item() == pytest.approx(0.1, abs=1e-4)


def test_a_missing_number_is_the_median_under_robust_scaling():
    table = {"x": numeric(1.0, 2.0, NAN, 900.0)}
    preprocessing = fit(table, scaling="robust")
    assert preprocessing.fitted[0].number.fill == 2.0
    assert preprocessing.encode(table)[2].tolist() == [0.0, 1.0]


def test_booleans_are_standardised_under_robust_scaling_too():
    table = {"b": categorical([0, 1, 1, 1, -1], [False, True]), "x": numeric(1.0, 2.0, 3.0, 4.0, 5.0)}
    one, other = fit(table, scaling="robust"), fit(table)
    assert one.fitted[0] == other.fitted[0]
    assert one.encode(table)[:, :2].equal(other.encode(table)[:, :2])
    assert one.fitted[1] != other.fitted[1]


def test_a_constant_column_is_ignored_under_robust_scaling_too():
    preprocessing = fit({"dull": numeric(0.1, 0.1, 0.1), "x": numeric(1.0, 2.0, 3.0)}, scaling="robust")
    assert preprocessing.width == 1
    assert [each["code"] for each in preprocessing.warnings] == ["constant_column"]
