"""A time is the same moment in a file, in CSV rows and in JSON, or none in any of them."""

import random

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.tabular import times
from tests.store.tables_on_disk import Desk, codes, types

TEXTS = [
    *("2026-01-31", "2026/1/5", "2026-1/5", "2026-1-5T9:05:06Z", "2026-01-05 1:00", "2026-01-05 10:00:00.5+02:30"),
    *("2026-02-30", "2026-01-31 12:00:00.9999999", "2026-01-05T10:00:60", "2016-12-31 23:59:60", "2026-13-05"),
    *("2026-01-05 24:00", "2026-01-05 24:00:00", "2026-01-05 24:00:00.000", "2026-01-05T24:00:00Z", "2026-01-05 24:01"),
    *("2026-12-31 24:00:00+02:00", "9999-12-31 24:00", "2026-01-05 25:00", "2026-01-05 24:00:00.000001"),
    *("0000-01-01", "0000-12-31 10:00", "0001-01-01", "0001-01-01 00:00:00+05:00", "9999-12-31 23:59:59-01:00"),
    *("2024-01-05 10:00:00 +0000", "2024-01-05 10:00:00 +00:00", "2024-01-05 10:00:00 Z", "2024-01-05 10:00 +02"),
    *("2026-01-05 10:00+02", "2026-01-05t10:00z", "2026-01-05 10:00:00 z", "2026-01-05 10:00:00  Z", "2026-01-05 Z"),
    *("2026-01-05 10", "12026-01-05", "2026", "x", "", " 2026-01-05", "2026-01-05 ", "2026-01-05T10:00:00.1234567890"),
    *(
        "2026-01-05 10:00:00+15:59",
        "2026-01-05 10:00:00-15:59",
        "2026-01-05 10:00:00+02:60",
        "2026-00-05",
        "2026-01-00",
    ),
    *("1969-12-31 23:59:59.999999", "1582-10-10", "1900-02-29", "2000-02-29", "2026-01-05T1:2", "2026-01-05T01:02:3"),
]


def in_sql(texts: list[str]) -> list[float | None]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        connection.execute("CREATE TABLE t AS SELECT unnest(?::VARCHAR[]) AS c", [texts])
        found = connection.execute(f"SELECT epoch_us({times.moment('c')}) FROM t").fetchall()
    return [None if value is None else float(value) for (value,) in found]


def test_python_and_sql_agree() -> None:
    assert dict(zip(TEXTS, map(times.microseconds, TEXTS), strict=True)) == dict(zip(TEXTS, in_sql(TEXTS), strict=True))


def test_python_and_sql_agree_on_mutated_times() -> None:
    draw = random.Random(5)
    texts = []
    for _ in range(5_000):
        text = list(draw.choice(TEXTS))
        for _ in range(draw.randrange(3)):
            place = draw.randrange(len(text) + 1)
            text[place : place + draw.randrange(2)] = draw.choice("0123456789-/:.TtZz+ ")
        texts.append("".join(text))
    differing = [
        each for each in zip(texts, map(times.microseconds, texts), in_sql(texts), strict=True) if each[1] != each[2]
    ]
    assert differing == []


@given(st.datetimes())
@settings(max_examples=200, deadline=None)
def test_what_rows_show_is_read_back(moment) -> None:
    text = moment.isoformat(timespec="microseconds") + "Z"
    assert times.microseconds(text) is not None


@pytest.mark.parametrize(
    ("text", "same"), [("2026-01-05 24:00", "2026-01-06"), ("2026-01-05 10:00 +02", "2026-01-05 08:00")]
)
def test_moments_that_are_written_otherwise(text: str, same: str) -> None:
    assert times.microseconds(text) == times.microseconds(same)


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        ("2016-12-31 23:59:60", "mixed_times"),
        ("12:60:00", "mixed_times"),
        ("-", "mixed_times"),
        ("0000-00-00", "mixed_times"),
    ],
)
def test_odd_value_among_times_is_told_of(tmp_path, odd: str, code: str) -> None:
    rows = "".join(f"2016-12-{1 + each % 28:02d} 10:00:0{each % 10},{each}\n" for each in range(40))
    table = Desk(tmp_path).csv(f"t,y\n{rows}{odd},3\n")
    assert codes(table) == [("t", code)]
    (told,) = [each["message"] for each in table.warnings]
    assert "1 of 41 values are not times" in told
    assert "line 42" in told


def test_odd_value_among_booleans_is_told_of(tmp_path) -> None:
    table = Desk(tmp_path).csv("b,y\n" + "true,1\nfalse,2\n" * 20 + "-,3\n")
    assert codes(table) == [("b", "mixed_booleans")]


def test_space_before_an_offset_makes_no_categories(tmp_path) -> None:
    rows = "".join(f"2016-12-{1 + each % 28:02d} 10:00:00 +0000,{each}\n" for each in range(40))
    assert types(Desk(tmp_path).csv(f"t,y\n{rows}")) == {"t": "datetime", "y": "numeric"}
