"""JSON lines and Parquet: the types they say themselves, the union of keys, and what is refused of them."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.errors import UnreadableTable
from store.tabular import ImportOptions, import_table
from tests.store.tables_on_disk import Desk, codes, types


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


RECORDS = st.lists(
    st.fixed_dictionaries(
        {"n": st.none() | st.integers(-(2**53), 2**53)},
        optional={
            "s": st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
            "b": st.none() | st.booleans(),
            "x": st.none() | st.floats(-1e15, 1e15, allow_nan=False),
        },
    ),
    min_size=1,
    max_size=8,
)


@given(records=RECORDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_lines_are_read_back(desk, records):
    table = desk.ndjson("\n".join(json.dumps(record) for record in records), types={}, missing=())
    names = list(types(table))
    assert names == list(dict.fromkeys(key for record in records for key in record))
    found = [dict(zip(names, row, strict=True)) for row in desk.rows()]
    assert found == [
        {name: record.get(name) if record.get(name) != "" else None for name in names} for record in records
    ]


def test_in_json_lines_a_string_of_digits_stays_a_string(desk):
    table = desk.ndjson('{"zip":"02134","n":1}\n{"zip":"10001","n":2.5}\n')
    assert types(table) == {"zip": "categorical", "n": "numeric"}
    assert types(desk.ndjson('{"zip":"02134"}\n', types={"zip": "numeric"})) == {"zip": "numeric"}
    assert types(desk.ndjson('{"day":"2020-01-01"}\n')) == {"day": "datetime"}


def test_a_key_that_comes_late_is_missing_before(desk):
    desk.ndjson('\ufeff{"a":1}\n\n{"b":true}\n{"a":null,"b":false}')
    assert desk.rows() == [[1, None], [None, True], [None, False]]


@pytest.mark.parametrize(
    ("content", "line", "column", "reason"),
    [
        ('{"a":1}\n{"a":[1]}\n', 2, "a", "is an array"),
        ('{"a":1}\n\n{"a":{}}\n', 3, "a", "is an object"),
        ('{"a":1}\n{"a":"x"}\n', 2, "a", "a string, and a number"),
        ('{"a":1}\n{"a":true}\n', 2, "a", "true or false, and a number"),
        ('{"a":1}\n[1]\n', 2, None, "no JSON object"),
        ('{"a":1}\n{"a":\n', 2, None, "not JSON"),
        ('{"a":NaN}\n', 1, None, "not JSON"),
        ('{"a":1e999}\n', 1, None, "infinity"),
        ('{"a":"\\u0000"}\n', 1, "a", "zero byte"),
        (b'{"a":"\xff"}\n', 1, None, "not JSON"),
        ('{"a":' + "[" * 5000 + "]" * 5000 + "}", 1, None, "not JSON"),
        ('{"a":"' + "x" * 2_000_000 + '"}', 1, None, "longer than"),
        ("", None, None, "no column"),
        ("{}\n{}\n", None, None, "no column"),
    ],
)
def test_json_lines_that_are_wrong_are_refused_with_their_place(desk, content, line, column, reason):
    with pytest.raises(UnreadableTable, match=reason) as refused:
        desk.ndjson(content)
    assert (refused.value.line, refused.value.column) == (line, column)


def test_each_flat_type_of_parquet_is_read(desk):
    table = desk.parquet(
        "SELECT 1::TINYINT AS i, 1.5::FLOAT AS f, 'nan'::DOUBLE AS nothing, 2.25::DECIMAL(5, 2) AS d, 'x' AS s,"
        " true AS b, DATE '2020-01-01' AS day, TIMESTAMPTZ '2020-01-01 02:00:00+02' AS z,"
        " 'q'::ENUM('q', 'r') AS e, '7' AS digits"
    )
    assert list(types(table).values()) == [
        *["numeric"] * 4, "categorical", "boolean", "datetime", "datetime", "categorical", "categorical",
    ]  # fmt: skip
    midnight = "2020-01-01T00:00:00.000000Z"
    assert desk.rows() == [[1, 1.5, None, 2.25, "x", True, midnight, midnight, "q", "7"]]
    assert codes(table) == [("nothing", "all_missing")]


def test_markers_for_missing_hold_for_strings_of_parquet(desk):
    desk.parquet("SELECT * FROM (VALUES ('NA', 1), ('x', 2)) t(s, n)")
    assert desk.rows() == [[None, 1], ["x", 2]]


@pytest.mark.parametrize(
    ("query", "column", "reason"),
    [
        ("SELECT 1 AS a, [1] AS b", "b", "nested"),
        ("SELECT 1 AS a, {'x': {'y': 1}} AS b", "b", "nested"),
        ("SELECT MAP {'x': 1} AS m", "m", "nested"),
        ("SELECT 'x'::BLOB AS b", "b", "type blob"),
        ("SELECT INTERVAL 1 DAY AS i", "i", "type interval"),
        ("SELECT 'inf'::DOUBLE AS x UNION ALL SELECT 1", "x", "row 1: 'inf' is not"),
        ("SELECT 1 AS a WHERE false", None, "no data row"),
    ],
)
def test_parquet_that_cannot_be_a_table_is_refused_by_column(desk, query, column, reason):
    with pytest.raises(UnreadableTable, match=reason) as refused:
        desk.parquet(query)
    assert (refused.value.line, refused.value.column) == (None, column)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"a,b\n1,2\n" * 9])
def test_what_is_no_parquet_is_refused_without_naming_our_paths(desk, content):
    desk.file.write_bytes(content)
    with pytest.raises(UnreadableTable, match="cannot be read as Parquet") as refused:
        import_table(desk.file, "parquet", ImportOptions(), desk.stored)
    assert str(desk.file.parent) not in refused.value.message
