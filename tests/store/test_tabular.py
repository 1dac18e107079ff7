"""Tables: what types their columns get, what figures, and that what went in comes out, in every format."""

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets

from store.errors import UnreadableTable
from store.tabular import ImportOptions, import_table, read_columns, read_rows
from tests.store.tables_on_disk import Desk, codes, types

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("name", "load", "target"),
    [
        ("iris", datasets.load_iris, "species"),
        ("breast_cancer", datasets.load_breast_cancer, "diagnosis"),
        ("digits", datasets.load_digits, "digit"),
        ("diabetes", lambda: datasets.load_diabetes(scaled=False), "progression"),
    ],
)
def test_the_examples_hold_what_scikit_learn_ships(desk, name, load, target):
    table = import_table(EXAMPLES / f"{name}.csv", "csv", ImportOptions(), desk.stored)
    source = load()
    names = [column["name"] for column in table.columns]
    assert names == [feature.replace(" ", "_").removesuffix("_(cm)") for feature in source.feature_names] + [target]
    assert table.warnings == []
    columns = read_columns(desk.stored, names)
    assert np.array_equal(np.column_stack([columns[name].values for name in names[:-1]]), source.data)
    last = columns[target]
    if last.categories:
        assert [last.categories[code] for code in last.values] == list(source.target_names[source.target])
    else:
        assert last.integral
        assert np.array_equal(last.values, source.target)


def test_the_figures_of_iris_are_those_of_numpy(desk):
    table = import_table(EXAMPLES / "iris.csv", "csv", ImportOptions(), desk.stored)
    assert table.rows == 150
    for place, column in enumerate(table.columns[:-1]):
        values = datasets.load_iris().data[:, place]
        assert column["missing"] == 0
        assert column["distinct"] == len(set(values))
        assert (column["min"], column["max"]) == (values.min(), values.max())
        assert column["mean"] == pytest.approx(values.mean(), rel=1e-14)
        assert column["std"] == pytest.approx(values.std(ddof=1), rel=1e-14)
    assert table.columns[-1] == {
        "name": "species",
        "type": "categorical",
        "missing": 0,
        "distinct": 3,
        "categories": [{"value": value, "count": 50} for value in ("setosa", "versicolor", "virginica")],
        "categories_cut": False,
        "text_bytes": 25,
    }


def test_each_type_is_told_from_all_rows_and_comes_back(desk):
    table = desk.csv(
        "number,whole,flag,day,kind\n1.5,1,TRUE,2020-01-01,b\n,,,,\n"
        "-2e3,-7,false,2020-01-02T03:04:05.5+02:00,a\n3,9,True,1969-12-31 23:59,b\n"
    )
    assert types(table) == {
        "number": "numeric",
        "whole": "numeric",
        "flag": "boolean",
        "day": "datetime",
        "kind": "categorical",
    }
    columns = read_columns(desk.stored, ["kind", "number", "whole", "flag", "day"])
    assert list(columns) == ["kind", "number", "whole", "flag", "day"]
    assert np.array_equal(columns["number"].values, [1.5, math.nan, -2000, 3], equal_nan=True)
    assert (columns["number"].integral, columns["whole"].integral) == (False, True)
    assert columns["flag"].values.tolist() == [1, -1, 0, 1]
    assert columns["flag"].categories == (False, True)
    assert columns["kind"].values.tolist() == [1, -1, 0, 1]
    assert columns["kind"].categories == ("a", "b")
    assert columns["kind"].values.dtype == np.int32
    moments = [1577836800_000000, math.nan, 1577927045_500000, -60_000000]
    assert np.array_equal(columns["day"].values, moments, equal_nan=True)
    assert desk.rows() == [
        [1.5, 1, True, "2020-01-01T00:00:00.000000Z", "b"],
        [None] * 5,
        [-2000.0, -7, False, "2020-01-02T01:04:05.500000Z", "a"],
        [3.0, 9, True, "1969-12-31T23:59:00.000000Z", "b"],
    ]
    assert [type(value) for value in desk.rows()[0][:2]] == [float, int]
    flag, day = table.columns[2], table.columns[3]
    assert flag["categories"] == [{"value": True, "count": 2}, {"value": False, "count": 1}]
    assert (day["min"], day["max"]) == ("1969-12-31T23:59:00.000000Z", "2020-01-02T01:04:05.500000Z")
    assert [column["missing"] for column in table.columns] == [1] * 5


def test_rows_are_paged_in_the_files_order(desk):
    desk.csv("n\n" + "\n".join(map(str, range(1000, 0, -1))))
    assert read_rows(desk.stored, 3, 500) == [[500], [499], [498]]
    assert read_rows(desk.stored, 10, 998) == [[2], [1]]


def test_many_row_groups_keep_their_order(desk):
    numbers = [(n * 7919) % 300_007 for n in range(300_000)]
    desk.csv("n,s\n" + "".join(f"{n},k{n % 3}\n" for n in numbers))
    columns = read_columns(desk.stored, ["n", "s"])
    assert np.array_equal(columns["n"].values, numbers)
    assert np.array_equal(columns["s"].values, np.array(numbers) % 3)


def test_the_same_file_gives_the_same_bytes_and_figures(desk):
    content = "x,y\n" + "".join(f"{math.sin(n)},{'ab'[n % 2]}\n" for n in range(200_000))
    first = desk.csv(content)
    digest = hashlib.sha256(desk.stored.read_bytes()).hexdigest()
    assert desk.csv(content) == first
    assert hashlib.sha256(desk.stored.read_bytes()).hexdigest() == digest


@pytest.mark.parametrize(
    ("different", "rows", "type"), [(100, 100, "categorical"), (101, 202, "categorical"), (101, 201, "text")]
)
def test_strings_are_text_when_over_a_hundred_and_over_half_the_rows_differ(desk, different, rows, type):
    table = desk.csv("s,n\n" + "".join(f"v{n % different},1\n" for n in range(rows)))
    assert types(table)["s"] == type
    column = table.columns[0]
    assert column["distinct"] == different
    assert ("categories" in column) == (type == "categorical")
    assert read_columns(desk.stored, ["s"])["s"].values.tolist() == [
        sorted(f"v{n}" for n in range(different)).index(f"v{n % different}") for n in range(rows)
    ]


def test_the_hundred_commonest_categories_are_shown_by_count_then_value(desk):
    counts = {f"v{n:04}": 2 + n // 600 for n in range(1200)}
    table = desk.csv("s,n\n" + "".join(f"{value},1\n" * count for value, count in counts.items()))
    shown = table.columns[0]["categories"]
    expected = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))[:100]
    assert shown == [{"value": value, "count": count} for value, count in expected]
    assert table.columns[0]["distinct"] == 1200


def test_categories_stand_by_code_point(desk):
    values = ["b", "a", "B", "é", "z", "Z", "10", "9", "\uff41", "🜁", "ﬀ", "it's", '"', ""]
    desk.ndjson("".join(json.dumps({"s": value}) + "\n" for value in values))
    column = read_columns(desk.stored, ["s"])["s"]
    assert list(column.categories) == sorted(filter(None, values))
    assert [column.categories[code] if code >= 0 else "" for code in column.values] == values


def test_whole_numbers_beyond_a_double_stay_whole_in_rows(desk):
    desk.csv("id,x\n9007199254740993,1\n9007199254740995,2\n")
    assert desk.rows() == [[9007199254740993, 1], [9007199254740995, 2]]
    desk.ndjson('{"id":9007199254740993}\n{"id":1}\n')
    assert desk.rows() == [[9007199254740993], [1]]


def test_numbers_so_large_that_their_squares_overflow_have_figures(desk):
    (column,) = desk.csv("x\n1e300\n-1e300\n1e299\n").columns
    assert column["mean"] == pytest.approx(1e299 / 3)
    assert column["std"] == pytest.approx(1e300 * np.std([1, -1, 0.1], ddof=1))


def test_one_row_has_no_spread(desk):
    assert desk.csv("x,y\n4,a\n").columns[0] == {
        "name": "x", "type": "numeric", "missing": 0, "distinct": 1,
        "min": 4, "max": 4, "mean": 4.0, "std": 0.0, "integer": True,
    }  # fmt: skip


def test_a_forced_type_is_kept_as_written(desk):
    table = desk.csv("zip,flag,n\n02134,1,5\n10001,0,\n", types={"zip": "categorical", "flag": "boolean", "n": "text"})
    assert types(table) == {"zip": "categorical", "flag": "boolean", "n": "text"}
    assert desk.rows() == [["02134", True, "5"], ["10001", False, None]]


@pytest.mark.parametrize(
    ("type", "value"),
    [("numeric", "x"), ("numeric", "inf"), ("boolean", "2"), ("datetime", "2020-13-01"), ("datetime", "7")],
)
def test_a_value_that_a_forced_type_excludes_is_named_by_line_and_column(desk, type, value):
    with pytest.raises(UnreadableTable, match=f"line 4: '{value}' is not") as refused:
        desk.csv(f"a,b\n1,\n2,\n3,{value}\n", types={"b": type})
    assert (refused.value.line, refused.value.column) == (4, "b")


def test_a_type_for_a_column_that_is_not_there_or_is_no_type_is_refused(desk):
    with pytest.raises(UnreadableTable, match="no column 'zap'") as refused:
        desk.csv("zip,y\n1,2\n", types={"zap": "categorical"})
    assert refused.value.column == "zap"
    with pytest.raises(UnreadableTable, match="must be one of numeric, categorical"):
        desk.csv("zip,y\n1,2\n", types={"zip": "number"})


@pytest.mark.parametrize(
    "content", ["n,y\n1,inf\n2,3\n", "n,y\n1,1e999\n2,3\n", "n,y\n1,nan\n2,3\n", "n,y\n1,3\n2,-Infinity\n"]
)
def test_numbers_that_are_not_finite_are_refused(desk, content):
    with pytest.raises(UnreadableTable, match="not a finite number") as refused:
        desk.csv(content)
    assert refused.value.line == (3 if content.endswith("y\n") else 2)
    assert refused.value.column == "y"


def test_missing_markers_are_the_callers_and_an_empty_cell_always_is_one(desk):
    content = "a,b\n1,?\n,x\n3,NA\n"
    table = desk.csv(content, missing=("?",))
    assert desk.rows() == [[1, None], [None, "x"], [3, "NA"]]
    assert [column["missing"] for column in table.columns] == [1, 1]
    desk.csv(content)
    assert desk.rows() == [[1, "?"], [None, "x"], [3, None]]


def test_a_marker_with_the_delimiter_in_it_works_too(desk):
    desk.csv('a,b\n1,"x,y"\n2,z\n', missing=("x,y",))
    assert desk.rows() == [[1, None], [2, "z"]]


def test_an_almost_numeric_column_is_told_of(desk):
    table = desk.csv("a,b\n1,?\n2,3\n4,5\n")
    assert types(table)["b"] == "categorical"
    assert codes(table) == [("b", "mixed_numbers")]
    assert "'?', line 2" in table.warnings[0]["message"]


def test_digits_with_underscores_are_no_numbers(desk):
    assert types(desk.csv("id,n\n1_000,2\n1_001,3\n")) == {"id": "categorical", "n": "numeric"}
    late = desk.csv("id,n\n" + "1,2\n" * 1000 + "1_000,3\n")
    assert types(late) == {"id": "categorical", "n": "numeric"}


def test_a_column_without_values_is_told_of(desk):
    table = desk.csv("a,b\n,1\n,2\n")
    assert codes(table) == [("a", "all_missing")]
    column = read_columns(desk.stored, ["a"])["a"]
    assert column.values.tolist() == [-1, -1]
    assert column.categories == ()


def test_a_late_stray_value_turns_a_column_of_numbers_into_strings(desk):
    table = desk.csv("a,b\n" + "1,2\n" * 5000 + "x,2\n")
    assert types(table) == {"a": "categorical", "b": "numeric"}
    assert desk.rows()[-1] == ["x", 2]


def test_an_unknown_column_is_a_mistake_of_the_reader(desk):
    desk.csv("a,b\n1,2\n")
    with pytest.raises(KeyError, match="c"):
        read_columns(desk.stored, ["a", "c"])


def test_a_refused_file_leaves_nothing(desk, tmp_path):
    with pytest.raises(UnreadableTable):
        desk.csv("a,b\n1,inf\n2,3\n")
    assert list(tmp_path.iterdir()) == [desk.file]


def test_limits_on_rows_and_columns_hold_in_each_format(desk):
    content = {"csv": "a,b\n1,2\n3,4\n", "ndjson": '{"a":1,"b":2}\n{"a":3,"b":4}\n'}
    desk.parquet("SELECT * FROM (VALUES (1, 2), (3, 4)) t(a, b)")
    content["parquet"] = desk.file.read_bytes()
    for format, each in content.items():
        desk.file.write_bytes(each if isinstance(each, bytes) else each.encode())
        read = lambda **limits: import_table(desk.file, format, ImportOptions(), desk.stored, **limits)  # noqa: E731, B023
        assert read(max_rows=2, max_columns=2).rows == 2
        with pytest.raises(UnreadableTable, match="rows, more than 1"):
            read(max_rows=1)
        with pytest.raises(UnreadableTable, match="more than 1"):
            read(max_columns=1)


@pytest.mark.parametrize("content", ["x\n" + "0.123456789\n" * 2000, "s,n\n" + "some text,1\r\n" * 20_000 + "x,2\n"])
def test_a_disk_that_is_full_while_writing_says_so_and_keeps_nothing(desk, tmp_path, content):
    """A limit on the size of files, in a process of its own, stands for the end of the disk."""
    desk.file.write_text(content)
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from store.errors import Full; from store.tabular import ImportOptions, import_table\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n"
        "try: import_table(Path(sys.argv[1]), 'csv', ImportOptions(), Path(sys.argv[2]))\n"
        "except Full: print('full')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, desk.file, desk.stored], capture_output=True, text=True, check=True
    )
    assert done.stdout == "full\n"
    assert list(tmp_path.iterdir()) == [desk.file]


@pytest.mark.parametrize(("above", "warned"), [(0, False), (1, True), (2**60, True)])
def test_whole_numbers_that_training_would_round_are_warned_of(desk, above, warned):
    number = 2**53 + above
    for table in (desk.csv(f"x,y\n1,{number}\n2,3\n"), desk.ndjson(f'{{"y": {number}}}\n{{"y": 3}}\n')):
        assert [each["code"] for each in table.warnings if each["column"] == "y"] == ["large_numbers"] * warned
    named = desk.csv(f"x,y\n1,{number}\n2,3\n", types={"y": "categorical"})
    assert named.warnings == []


def test_whole_numbers_of_parquet_that_training_would_round_are_warned_of(desk):
    assert [each["code"] for each in desk.parquet("SELECT 9007199254740993 AS y").warnings] == ["large_numbers"]
    assert desk.parquet("SELECT -9007199254740992 AS y").warnings == []
