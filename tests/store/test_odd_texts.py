"""What is odd about a file's texts is told, and codes keep their zeros."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from store.tabular import ImportOptions, import_table, read_columns


def imported(folder: Path, content: str, kind: str = "csv", **options):
    (folder / "in").write_text(content, encoding="utf-8")
    return import_table(folder / "in", kind, ImportOptions(**options), folder / "out")


def told(table) -> set[tuple[str, str]]:
    return {(each["column"], each["code"]) for each in table.warnings}


@pytest.mark.parametrize(
    "values",
    [["00501", "00544", "06390"], ["007", "001", "042"], ["01", "02", "03", "01"], ["0000", "0001", ""]],
)
@pytest.mark.parametrize("rows", [1, 400])
def test_codes_keep_their_zeros(tmp_path, values, rows):
    table = imported(tmp_path, "zip,y\n" + "".join(f"{value},{n}\n" for n in range(rows) for value in values))
    assert table.columns[0]["type"] == "categorical"
    assert ("zip", "leading_zeros") in told(table)
    found = read_columns(tmp_path / "out", ["zip"])["zip"]
    assert [found.categories[code] for code in found.values[:3] if code >= 0] == [
        value for value in values[:3] if value
    ]


@pytest.mark.parametrize(
    "values", [["0", "1"], ["0.5", "0.7"], ["007", "10"], ["0e1", "1e1"], ["-01", "-02"], ["0", "0"]]
)
def test_numbers_with_zeros_are_numbers(tmp_path, values):
    table = imported(tmp_path, "x,y\n" + "".join(f"{value},1\n" for value in values * 3))
    assert table.columns[0]["type"] == "numeric"
    assert not told(table)


def test_codes_are_numbers_where_the_caller_says_so(tmp_path):
    table = imported(tmp_path, "zip,y\n00501,1\n00544,2\n", types={"zip": "numeric"})
    assert table.columns[0]["type"] == "numeric"


@pytest.mark.parametrize(
    "content",
    ["city,2020\nParis,5\nRome,7\n", "city,2019,2020\nParis,5,6\nRome,7,8\n", "2020,city\n1.5,Paris\n2.5,Rome\n"],
)
def test_years_beside_a_name_are_names(tmp_path, content):
    table = imported(tmp_path, content)
    assert [column["name"] for column in table.columns] == content.splitlines()[0].split(",")
    assert table.rows == 2


@pytest.mark.parametrize(
    "content", ["Paris,5\nRome,7\n", "Paris,2020\nParis,2021\n", "Paris,2020\nRome,2021\n", "1,2\n3,4\n"]
)
def test_data_in_the_first_line_are_data(tmp_path, content):
    table = imported(tmp_path, content)
    assert table.rows == 2
    assert ("column_1", "no_header") in told(table)


@pytest.mark.parametrize(
    ("values", "noun"),
    [
        (["1,5", "2,25", "-3,0"], "a decimal comma"),
        (["1.234,5", "2,5"], "a decimal comma"),
        (["68,527.00", "1,000.5"], "commas between thousands"),
        (["1,234,567", "1,000,000"], "commas between thousands"),
    ],
)
def test_numbers_written_with_commas_are_told(tmp_path, values, noun):
    table = imported(tmp_path, "p;y\n" + "".join(f"{value};1\n" for value in values))
    (message,) = [each["message"] for each in table.warnings if each["code"] == "written_numbers"]
    assert noun in message
    assert table.columns[0]["type"] == "categorical"


def test_two_spellings_of_one_text_are_told(tmp_path):
    table = imported(tmp_path, "place,y\ncaf\u00e9,1\ncafe\u0301,2\n")
    assert ("place", "unicode_spellings") in told(table)
    assert table.columns[0]["distinct"] == 2


def test_two_spellings_of_one_name_are_told(tmp_path):
    table = imported(tmp_path, "caf\u00e9,cafe\u0301\n1,2\n")
    assert ("cafe\u0301", "unicode_spellings") in told(table)


@pytest.mark.parametrize("values", [["caf\u00e9", "th\u00e9"], ["cafe\u0301", "x"], ["cafe", "tea"], ["1,5", "x"]])
def test_ordinary_texts_are_not_warned_of(tmp_path, values):
    table = imported(tmp_path, "place;y\n" + "".join(f"{value};1\n" for value in values * 2))
    assert not told(table)


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_times_that_are_none_are_told(tmp_path, unit):
    numbers = pa.array([2**63 - 1, -(2**63) + 1, 0, None, 10**9], pa.int64())
    pq.write_table(pa.table({"t": numbers.cast(pa.timestamp(unit)), "x": [1.0] * 5}), tmp_path / "in")
    table = import_table(tmp_path / "in", "parquet", ImportOptions(), tmp_path / "out")
    (message,) = [each["message"] for each in table.warnings if each["code"] == "endless_times"]
    assert message.startswith("2 values")
    assert table.columns[0]["missing"] == 3


def test_dates_that_are_none_are_told(tmp_path):
    days = pa.array([2**31 - 1, 0, 20_000], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"t": days, "x": [1.0] * 3}), tmp_path / "in")
    table = import_table(tmp_path / "in", "parquet", ImportOptions(), tmp_path / "out")
    assert ("t", "endless_times") in told(table)
