"""Instances as they come in JSON, and the columns they become."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from learning.columns import CategoricalColumn, DatetimeColumn
from service.problems import Invalid
from service.serving.instances import columns_of

WHEN = [{"name": "when", "type": "datetime"}]
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
FRACTION = NOON.replace(microsecond=123_456)


def micros(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-31", NOON.replace(hour=0)),
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31t12:00:00z", NOON),
        ("2026-01-31 12:00:00", NOON),
        ("2026-01-31T12:00", NOON),
        ("2026-01-31T12:00:00.123456Z", FRACTION),
        ("2026-01-31T12:00:00.123456789Z", FRACTION),
        ("2026-01-31T12:00:00+05:30", datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=5.5)))),
        ("1904-02-29T23:59:59-08:00", datetime(1904, 2, 29, 23, 59, 59, tzinfo=timezone(-timedelta(hours=8)))),
    ],
)
def test_a_time_is_microseconds_since_1970_in_utc(text: str, time: datetime) -> None:
    column = columns_of([{"when": text}, {}, {"when": None}], WHEN)["when"]
    assert isinstance(column, DatetimeColumn)
    assert column.values[0].item() == micros(time)
    assert column.values[1:].isnan().all()


@pytest.mark.parametrize(
    "value",
    [
        *("", "tomorrow", "2026", "2026-02-30", "20260131", "2026-W05-6", "31/01/2026", "2026-01-31T25:00:00Z"),
        *("2026-01-31T12:00:00+25:00", "2026-01-31T12:00:00Z ", "٢٠٢٦-01-31", 1_769_860_800, True, ["2026-01-31"]),
    ],
)
def test_what_is_no_time_is_refused_at_its_place(value: Any) -> None:
    with pytest.raises(Invalid) as refusal:
        columns_of([["2026-01-31"], [None], [value]], WHEN)
    ((path, messages),) = refusal.value.errors.items()
    assert path == "instances.2.when"
    assert "a date or a time as RFC 3339" in messages[0]


def test_a_category_of_thousands_is_named_by_its_type_alone() -> None:
    inputs = [{"name": "zip", "type": "categorical", "categories": [f"{code:05}" for code in range(16_384)]}]
    column = columns_of([["00007"], [None], ["never seen"]], inputs)["zip"]
    assert isinstance(column, CategoricalColumn)
    assert column.codes.tolist() == [0, -1, 1]
    with pytest.raises(Invalid) as refusal:
        columns_of([[7]], inputs)
    assert refusal.value.errors == {"instances.0.zip": ["text, or null"]}
