"""What a cell of CSV means, which is what it means in a dataset."""

import csv
import io

import duckdb
import pytest
import torch

from learning.columns import CategoricalColumn, NumericColumn
from service.problems import Invalid
from service.serving import csv_rows
from service.serving.tables import table_of, texts, time_of
from store.tabular.counting import is_finite, is_moment


def test_a_text_that_a_spreadsheet_would_run_is_defused() -> None:
    codes = torch.tensor([0, 1, 2, 3])
    table = {"@sum": CategoricalColumn(codes, ("=1+1", "+x", "-y", "plain")), "n": NumericColumn(-codes.double())}
    assert list(csv.reader(io.StringIO(csv_rows.written(table).decode()))) == [
        ["'@sum", "n"],
        ["'=1+1", "-0.0"],
        ["'+x", "-1.0"],
        ["'-y", "-2.0"],
        ["plain", "-3.0"],
    ]


TIMES = [
    *("2026-01-31", "2026/1/5", "2026-1-5T9:05:06Z", "2026-01-05 1:00", "2026-01-05 10:00:00.5+02:30", "2026-02-30"),
    *("2026-01-31T12:00:00.1234567Z", "2026-01-31 12:00:00.9999999", "2026-01-05T10:00:60", "2026-13-05", "2026/01-05"),
    *("2026-01-05 10:00+02", "2026-01-05 10:00 +02", "2026-01-05 10:00+0230", "12026-01-05", "1969-12-31", "x", "2026"),
    *(
        "2026-01-05T10:00 Z",
        "2026-01-05 10",
        "2026-01-05T10:00-01:30",
        "9999-12-31",
        "0001-01-01",
        "2026-01-05 25:00",
        "2026-01-05T10:00Z",
        "2026-01-05T10:00:00-0130",
    ),
]


# An import takes no offset behind minutes, and JSON does: here it is taken, and means what it means behind seconds.
WITHOUT_SECONDS = {"2026-01-05 10:00+02", "2026-01-05 10:00+0230", "2026-01-05T10:00-01:30", "2026-01-05T10:00Z"}


def test_a_time_is_what_it_is_in_a_dataset() -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        connection.execute("CREATE TABLE t AS SELECT unnest(?) AS c", [TIMES])
        rows = connection.execute(f"SELECT CASE WHEN {is_moment('c')} THEN epoch_us(c::TIMESTAMPTZ) END FROM t")
        imported = dict(zip(TIMES, (row[0] for row in rows.fetchall()), strict=True))
    for text in WITHOUT_SECONDS:
        imported[text] = time_of(f"{text[:16]}:00{text[16:]}")
        assert imported[text] is not None
    assert {text: time_of(text) for text in TIMES} == imported


NUMERALS = [
    *(
        "1",
        "+1",
        " 1 ",
        "1.",
        ".5",
        "1e5",
        "1E-3",
        "-0",
        "1_000",
        "0x1",
        "1d",
        "1e",
        "inf",
        "-Infinity",
        "nan",
        "\u0661",
    ),
    *("1e400", "1 2", "--1", "1,5", "\t1", "1\u00a0", "e5", ".", "9" * 400, "0.1e-400", "true", "-.5e+3"),
]


def test_a_number_is_what_it_is_in_a_dataset() -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT unnest(?) AS c", [NUMERALS])
        rows = connection.execute(f"SELECT CASE WHEN {is_finite('c')} THEN c::DOUBLE END FROM t").fetchall()
    for text, (value,) in zip(NUMERALS, rows, strict=True):
        body, inputs = f'x\n"{text}"\n'.encode(), [{"name": "x", "type": "numeric"}]
        if value is None:
            with pytest.raises(Invalid) as refusal:
                next(csv_rows.slices(body, inputs, 10, 10))
            assert list(refusal.value.errors) == ["instances.0.x"]
        else:
            assert next(csv_rows.slices(body, inputs, 10, 10))["x"].values.tolist() == [value], text


def test_a_category_that_reads_as_missing_is_one_where_it_was_learned() -> None:
    column = {"c": texts(["NA", "", "x"])}
    known = table_of(column, [{"name": "c", "type": "categorical", "categories": ["NA", "x"]}], 3)["c"]
    plain = table_of(column, [{"name": "c", "type": "categorical", "categories": ["x"]}], 3)["c"]
    assert known.codes.tolist() == [0, -1, 2]
    assert plain.codes.tolist() == [-1, -1, 2]
