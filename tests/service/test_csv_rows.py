"""What a cell of CSV means, which is what it means in a dataset."""

import csv
import io
import math

import duckdb
import pytest
import torch

from learning.columns import CategoricalColumn, NumericColumn
from service.problems import Invalid
from service.serving import csv_rows
from service.serving.tables import table_of, texts
from store.tabular.counting import is_finite


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


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_line_of_a_single_column_is_a_missing_value(end: str) -> None:
    inputs = [{"name": "x", "type": "numeric"}]
    body = end.join(["", "x", "", "1", "", "3", "", "", "4", ""]).encode()
    (rows,) = csv_rows.slices(body, inputs, 100, 100)
    assert [None if math.isnan(value) else value for value in rows["x"].values.tolist()] == [1, None, 3, None, None, 4]
    with pytest.raises(Invalid) as refusal:
        next(csv_rows.slices(body.replace(b"3", b"wrong"), inputs, 100, 100))
    assert list(refusal.value.errors) == ["instances.2.x"]


def test_blank_line_of_several_columns_is_nothing() -> None:
    inputs = [{"name": "x", "type": "numeric"}, {"name": "y", "type": "numeric"}]
    (rows,) = csv_rows.slices(b"x,y\n1,2\n\n3,4\n", inputs, 100, 100)
    assert rows["x"].values.tolist() == [1, 3]


def test_record_of_too_many_cells_is_refused_by_its_width() -> None:
    inputs = [{"name": "x", "type": "categorical", "categories": ["a"]}]
    with pytest.raises(Invalid) as refusal:
        list(csv_rows.slices(b"x\na\n" + b"," * 500_000, inputs, 10, 10))
    assert refusal.value.errors == {"instances.1": ["1 values, as the header has"]}
    commas = "," * 30_000
    body = f'x\n"a\n{commas}"\n'.encode()
    ((table,),) = (list(csv_rows.slices(body, [{**inputs[0], "categories": [f"a\n{commas}"]}], 10, 10)),)
    assert table["x"].codes.tolist() == [0]
