"""Instances as they come in JSON, and the columns they become."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from service.problems import Invalid
from service.serving.instances import Reader, columns_of

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
    found = columns_of([{"when": text}, {}, {"when": None}], WHEN)
    assert found.numbers[0].item() == micros(time)
    assert found.numbers[1:].isnan().all()


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
    found = columns_of([["00007"], [None], ["never seen"]], inputs)
    assert found.codes.tolist() == [[7], [16_385], [16_384]]
    with pytest.raises(Invalid) as refusal:
        columns_of([[7]], inputs)
    assert refusal.value.errors == {"instances.0.zip": ["text, or null"]}


MIXED = [
    {"name": "x", "type": "numeric"},
    {"name": "colour", "type": "categorical", "categories": ["blue", "red"]},
    {"name": "old", "type": "boolean"},
    {"name": "code", "type": "categorical", "categories": [3, 7]},
    {"name": "when", "type": "datetime"},
]
NUMBERS = [{"name": name, "type": "numeric"} for name in "abc"]


def test_records_and_arrays_of_mixed_columns_are_the_same_cells() -> None:
    arrays = [
        [1, "red", True, 7, "1970-01-01T00:00:01Z"],
        [None, "green", None, None, None],
        [2.5, None, False, 3, None],
    ]
    names = [each["name"] for each in MIXED]
    records = [dict(reversed(list(zip(names, row, strict=True)))) for row in arrays]
    sparse = [{name: value for name, value in record.items() if value is not None} for record in records]
    reader = Reader(MIXED)
    for instances in (arrays, records, sparse):
        found = reader.read(instances)
        assert found.numbers.nan_to_num(-1.0).tolist() == [[1.0, 1.0, 1e6], [-1.0, -1.0, -1.0], [2.5, 0.0, -1.0]]
        assert found.codes.tolist() == [[1, 1], [2, 3], [3, 0]]
        for place, instance in enumerate(instances):
            alone = reader.read([instance]).cells
            assert alone.numbers.nan_to_num(-1.0).equal(found.numbers[place : place + 1].nan_to_num(-1.0))
            assert alone.codes.equal(found.codes[place : place + 1])


def test_arrays_of_numbers_are_taken_as_they_are() -> None:
    alone = Reader(NUMBERS).read([[1, 2.5, None]])
    assert alone.cells.numbers.nan_to_num(-1.0).tolist() == [[1.0, 2.5, -1.0]]
    found = Reader(NUMBERS).read([[1, 2.5, None], [-(2**70), 3.4e38, 0]])
    assert found.numbers.nan_to_num(-1.0).tolist() == [[1.0, 2.5, -1.0], [-float(2**70), 3.4e38, 0.0]]
    assert found.codes.shape == (2, 0)


@pytest.mark.parametrize("value", [True, "1", "1.5", [1], {}, 10**400, -(10**39), 3.5e38, float("inf"), "nan", "inf"])
def test_what_is_no_number_within_float32_is_refused_at_its_place(value: Any) -> None:
    for inputs in (NUMBERS, [*NUMBERS, {"name": "d", "type": "boolean"}]):
        rows: list[list[Any]] = [[None] * len(inputs) for _ in range(9)]
        rows[7][2] = value
        with pytest.raises(Invalid) as refusal:
            columns_of(rows, inputs)
        assert refusal.value.errors == {"instances.7.c": ["a number within ±3.403e+38, or null"]}
        with pytest.raises(Invalid) as refusal:
            columns_of(rows[7:8], inputs)
        assert list(refusal.value.errors) == ["instances.0.c"]


@pytest.mark.parametrize(
    ("place", "value", "path"),
    [(1, 3, "colour"), (1, True, "colour"), (2, 1, "old"), (2, "true", "old"), (3, "3", "code"), (3, 3.0, "code")],
)
def test_a_value_of_another_type_than_the_columns_is_refused_at_its_place(place: int, value: Any, path: str) -> None:
    rows: list[list[Any]] = [[None] * 5 for _ in range(3)]
    rows[1][place] = value
    with pytest.raises(Invalid) as refusal:
        columns_of(rows, MIXED)
    assert list(refusal.value.errors) == [f"instances.1.{path}"]
    with pytest.raises(Invalid) as refusal:
        columns_of(rows[1:2], MIXED)
    assert list(refusal.value.errors) == [f"instances.0.{path}"]


def test_every_wrong_field_is_named_and_of_a_column_the_first_hundred() -> None:
    with pytest.raises(Invalid) as refusal:
        columns_of([["a", 1, None]] * 150, NUMBERS)
    assert len(refusal.value.errors) == 100
    with pytest.raises(Invalid) as refusal:
        columns_of([["a", 1, 1e39]], NUMBERS)
    assert list(refusal.value.errors) == ["instances.0.a", "instances.0.c"]


def test_rows_of_other_shapes_and_unknown_names_are_refused() -> None:
    for instances, path in (
        ([[1, 2, 3], [1, 2]], "instances.1"),
        ([[1, 2, 3], {"a": 1}], "instances.1"),
        ([{"a": 1}, [1, 2, 3]], "instances.1"),
        ([3], "instances.0"),
        ([{"a": 1}, {"a": 1, "b": 2, "z": 3}], "instances.1.z"),
        ([{"a": 1, "b": 2, "z": 3}], "instances.0.z"),
    ):
        with pytest.raises(Invalid) as refusal:
            columns_of(instances, NUMBERS)
        assert list(refusal.value.errors) == [path]
