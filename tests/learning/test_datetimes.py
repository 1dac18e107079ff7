import math
from datetime import UTC, datetime

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.datetimes import COURSES, DAY, YEAR, courses
from learning.errors import UnusableColumn
from learning.targets import Target
from tests.learning.columns import categorical, datetimes, fit, instants, micros, numeric

DATES = ("2024-01-01", "2024-04-01", "2025-07-20", "2026-11-05")


@settings(deadline=None)
@given(st.lists(instants, min_size=1, max_size=20))
def test_courses_are_the_sine_and_cosine_of_year_week_and_day(moments):
    found = courses(torch.tensor(moments, dtype=torch.float64))
    for name, period in (("year", YEAR), ("week", 7 * DAY), ("day", DAY)):
        for index, moment in enumerate(moments):
            angle = 2 * math.pi * math.fmod(moment, period) / period
            assert found[f"{name}_sine"][index].item() == pytest.approx(math.sin(angle), abs=1e-9)
            assert found[f"{name}_cosine"][index].item() == pytest.approx(math.cos(angle), abs=1e-9)


@pytest.mark.parametrize("period", [YEAR, 7 * DAY, DAY])
def test_a_course_comes_round(period):
    start = micros(datetime(2026, 5, 17, 13, 21, 5, 7, tzinfo=UTC))
    name = {YEAR: "year", DAY: "day"}.get(period, "week")
    found = courses(torch.tensor([start, start + period, start - 3 * period], dtype=torch.float64))
    assert found[f"{name}_sine"].tolist() == pytest.approx([found[f"{name}_sine"][0].item()] * 3, abs=1e-9)


def test_a_time_becomes_its_years_and_its_courses():
    table = {"when": datetimes("2024-01-01T00:00", "2024-02-10T06:00", "2025-07-20T12:00", "2026-11-05T21:30")}
    preprocessing = fit(table)
    encoded = preprocessing.encode(table).double()
    assert list(preprocessing.fitted[0].courses) == list(COURSES)
    assert preprocessing.width == 7
    assert encoded[:, 0].mean().item() == pytest.approx(0.0, abs=1e-6)
    assert encoded[:, 0].std(correction=0).item() == pytest.approx(1.0, rel=1e-6)
    assert encoded[:, 5].tolist() == pytest.approx([0.0, 1.0, 0.0, math.sin(2 * math.pi * 21.5 / 24)], abs=1e-6)
    assert encoded[:, 6].tolist() == pytest.approx([1.0, 0.0, -1.0, math.cos(2 * math.pi * 21.5 / 24)], abs=1e-6)


def test_dates_alone_have_no_course_of_the_day():
    preprocessing = fit({"when": datetimes(*DATES)})
    assert list(preprocessing.fitted[0].courses) == list(COURSES[:4])


def test_the_same_day_of_every_week_has_no_course_of_the_week():
    preprocessing = fit({"when": datetimes("2026-01-05", "2026-01-12", "2026-03-02")})
    assert list(preprocessing.fitted[0].courses) == list(COURSES[:2])


def test_midnight_and_noon_alone_have_no_sine():
    preprocessing = fit({"when": datetimes("2026-01-05T00:00", "2026-01-06T12:00", "2026-03-02T00:00")})
    assert [name for name in preprocessing.fitted[0].courses if name.startswith("day")] == ["day_cosine"]


def test_a_missing_time_is_the_mean_and_raises_a_flag():
    table = {"when": datetimes(*DATES, None)}
    preprocessing = fit(table)
    encoded = preprocessing.encode(table)
    assert preprocessing.width == 2 + 4
    assert encoded[4, :2].tolist() == [0.0, 1.0]
    assert encoded[:, 1].tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert encoded[4, 2:].tolist() == pytest.approx(encoded[:4, 2:].mean(dim=0).tolist(), abs=1e-6)


def test_a_time_missing_only_at_prediction_is_the_mean():
    preprocessing = fit({"when": datetimes(*DATES)})
    assert preprocessing.encode({"when": datetimes(None)})[0, 0].item() == 0.0


def test_one_time_alone_is_ignored_and_only_told_to_be_there_where_some_are_missing():
    dull = fit({"when": datetimes("2026-01-05", "2026-01-05"), "x": numeric(1.0, 2.0)})
    assert (dull.width, [each["code"] for each in dull.warnings]) == (1, ["constant_column"])
    never = fit({"when": datetimes(None, None), "x": numeric(1.0, 2.0)})
    assert (never.width, [each["code"] for each in never.warnings]) == (1, ["missing_column"])
    some = fit({"when": datetimes("2026-01-05", None)})
    assert some.encode({"when": datetimes("2026-01-05", None, "2027-03-04")}).tolist() == [[0.0], [1.0], [0.0]]


def test_far_after_training_a_course_stays_within_one():
    preprocessing = fit({"when": datetimes("2026-01-05T10:00", "2026-01-05T10:30", "2026-01-05T11:00")})
    assert preprocessing.encode({"when": datetimes("2026-07-05T22:00")})[0, 1:].abs().max() <= 1.0


def test_robust_scaling_is_of_the_years_alone():
    table = {"when": datetimes(*DATES)}
    robust, standard = fit(table, scaling="robust"), fit(table)
    assert robust.fitted[0].years.clipped
    assert robust.encode(table)[:, 1:].equal(standard.encode(table)[:, 1:])
    assert not robust.encode(table)[:, 0].equal(standard.encode(table)[:, 0])


def test_without_scaling_a_time_is_the_years_since_1970():
    table = {"when": datetimes("1970-01-01", "2000-01-01")}
    assert fit(table, scaling="none").encode(table)[:, 0].tolist() == pytest.approx([0.0, 29.9993], abs=1e-3)


@pytest.mark.parametrize("column", [numeric(1.0), categorical([0], ["2026-01-01"])])
def test_what_is_no_time_is_refused_by_name(column):
    with pytest.raises(UnusableColumn) as refusal:
        fit({"when": datetimes(*DATES)}).encode({"when": column})
    assert refusal.value.column == "when"


def test_times_where_numbers_were_are_refused_by_name_and_so_is_a_target_of_them():
    table = {"x": numeric(1.0, 2.0), "when": datetimes(*DATES[:2])}
    with pytest.raises(UnusableColumn) as refusal:
        fit({"x": table["x"]}).encode({"x": table["when"]})
    assert refusal.value.column == "x"
    with pytest.raises(UnusableColumn):
        Target.fit(table, "when", "regression", torch.arange(2))
