"""CSV as it is really written, and CSV that is wrong: read as it stands, or refused with line, column and reason."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.errors import UnreadableTable
from tests.store.tables_on_disk import Desk, codes, types


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
AWKWARD = st.sampled_from(
    ["", '"', '""', "a,b", "a;b", "x\ny", "x\r\ny", "\r", " x ", "'", "é", "🜁", "\ufeff", "-", "=1"]
)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_pythons_csv_writes_is_read_back(desk, data):
    """As strings, so that nothing but the reading is tried."""
    width = data.draw(st.integers(1, 4))
    rows = data.draw(st.lists(st.lists(CELLS | AWKWARD, min_size=width, max_size=width), min_size=1, max_size=8))
    delimiter = data.draw(st.sampled_from(",;\t|"))
    text = io.StringIO()
    # With LF for its end, the writer leaves a lone CR unquoted, and then nobody could tell it from an end of line.
    end, quoting = data.draw(
        st.sampled_from([("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)])
    )
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end)
    names = [f"c{place}" for place in range(width)]
    writer.writerow(names)
    writer.writerows(rows)
    bom = data.draw(st.sampled_from(["", "\ufeff"]))
    forced = dict.fromkeys(names, "categorical")
    desk.csv(bom + text.getvalue(), types=forced, missing=(), header=True, delimiter=delimiter)
    assert desk.rows() == [[cell or None for cell in row] for row in rows]


@given(text=st.text('ab1."\n\r, ', max_size=25))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_read_as_python_reads_it_or_refused(desk, text):
    try:
        reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=', "' in text, strict=True)
        records = [*reader]
        while records and not records[-1]:
            records.pop()
        while records and not records[0]:
            records.pop(0)
        wide = max(map(len, records), default=0) > 1
        # A blank line is nothing, but a missing value between others where there is a single column.
        records = [record or [""] for record in records if record or not wide]
        whole = len(records) > 0 and len({len(record) for record in records}) == 1
    except csv.Error:
        whole = False
    if whole:
        forced = {f"column_{place + 1}": "categorical" for place in range(len(records[0]))}
        desk.csv(text, header=False, delimiter=",", types=forced, missing=())
        assert desk.rows() == [[cell or None for cell in record] for record in records]
    else:
        with pytest.raises(UnreadableTable):
            desk.csv(text, header=False, delimiter=",")


@given(
    rows=st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers()), min_size=1, max_size=20)
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_are_read_to_the_last_bit(desk, rows):
    desk.csv("x,n\n" + "".join(f"{x!r},{n}\n" for x, n in rows))
    assert [[float(x), float(n)] for x, n in desk.rows()] == [[x, float(n)] for x, n in rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_each_delimiter_and_line_end_is_found(desk, delimiter, end):
    text = end.join([delimiter.join(row) for row in (["a", "b c", "d"], ["1", "x", ""], ["2.5", '"y"', "3"])])
    for content in (text, text + end, text + end * 3, end + text, "\ufeff" + text):
        desk.csv(content)
        assert desk.rows() == [[1.0, "x", None], [2.5, "y", 3]]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("a,b\n1,2\r\n3,4\n", [[1, 2], [3, 4]]),
        ("a,b\n1,2\n\n3,4\n\n\n", [[1, 2], [3, 4]]),
        ("a,b\n1,\n3,4\n", [[1, None], [3, 4]]),
        ("a\n1\n\n2\n", [[1], [None], [2]]),
        ("a\r\n\r\n1\r\n\r\n\r\n2\r\n\r\n", [[1], [None], [None], [2]]),
        ("\n\na\nx\n\ny", [["x"], [None], ["y"]]),
        ('a\nx\n""\ny\n', [["x"], [None], ["y"]]),
        ('a,b\n1,x"y\n', [[1, 'x"y']]),
        ('"a\nz",b\n1,2\n', [[1, 2]]),
        ("a,b\n1,2", [[1, 2]]),
        ('"a", "b"\n1, "x, y"\n2, z\n', [[1, "x, y"], [2, "z"]]),
    ],
)
def test_odd_but_whole_files_are_read(desk, content, rows):
    desk.csv(content)
    assert desk.rows() == rows


@pytest.mark.parametrize(
    ("content", "line", "column", "reason"),
    [
        ("a,b\n1,2\n3\n4,5\n", 3, "b", "1 values where 2"),
        ("a,b\n1,2\n3,4,5\n", 3, "3", "3 values where 2"),
        ("a,b\n1,2\n3,4,\n", 3, "3", "3 values where 2"),
        ("a,b\n1,\n3,4,\n", 3, "3", "3 values where 2"),
        ("a,b,c\n1\n2\n3\n", 2, "b", "1 values where 3"),
        ("a,b,c\n1;2;3\n4;5;6\n", 2, "b", "1 values where 3"),
        ('a,b\n"x\ny",2\n\n"p\nq",3\n5\n', 7, "b", "1 values where 2"),
        ('a,b\r\n1,2\r\n"x\r\ny",2,3\r\n', 3, "3", "3 values where 2"),
        ('a,b\n1,2\n3,"x\n4,5\n', 3, None, "never closed"),
        ('a,b\n1,2\n3,"x"y\n', 3, None, "closing quote"),
        (b"a,b\n1,2\n3,\xff\n", 3, None, "not UTF-8"),
        (b"a,b\n1,2\n3,\x00\n", 3, None, "zero byte"),
        (b"a,b\n" + b"1,2\n" * 700_000 + b"3,\x00\n", 700_002, None, "zero byte"),
        (b"a,b\n" + b"1,2\n" * 700_000 + b"3,\xe9\n", 700_002, None, "not UTF-8"),
        (b"a,b\n" + b"1,2\n" * 700_000 + b"3\n", 700_002, "b", "1 values where 2"),
        (b"PK\x03\x04\x14\x00\x08\x00", 1, None, "zero byte"),
        ("a,b\n1,2\n".encode("utf-16"), 1, None, "UTF-16"),
        ("", None, None, "empty"),
        ("\n\n", None, None, "no column"),
        ("a,b\n", None, None, "no data row"),
        ("a,b", None, None, "no data row"),
        ("a,b\n" + "x" * 3_000_000, 2, None, "longer than"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place_and_reason(desk, content, line, column, reason):
    with pytest.raises(UnreadableTable, match=reason) as refused:
        desk.csv(content)
    assert (refused.value.line, refused.value.column) == (line, column)


def test_the_line_is_found_past_quoted_line_ends_and_blank_lines(desk):
    with pytest.raises(UnreadableTable, match="line 7: 'inf'") as refused:
        desk.csv('a,b\n"x\ny",1\n\n"p\nq",2\nz,inf\n')
    assert (refused.value.line, refused.value.column) == (7, "b")


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("sepal,species\n5.1,setosa\n", ["sepal", "species"]),
        ("5.1,setosa\n4.9,virginica\n", ["column_1", "column_2"]),
        ("name,kind\nx,y\n", ["name", "kind"]),
        ("1,2\n3,4\n", ["column_1", "column_2"]),
        (",3.5\n4.1,2\n", ["column_1", "column_2"]),
        ("id,2019,2020\n7,1.5,2.5\n", ["id", "2019", "2020"]),
    ],
)
def test_a_header_is_told_from_data(desk, content, names):
    table = desk.csv(content)
    assert list(types(table)) == names
    assert table.rows == content.count("\n") - (names[0] != "column_1")


def test_a_guess_about_the_header_is_told(desk):
    assert codes(desk.csv("1,2\n3,4\n")) == [("column_1", "no_header")]
    assert codes(desk.csv("id,2019\n7,1.5\n")) == [("2019", "number_in_header")]
    assert codes(desk.csv("a,b\n7,1.5\n")) == []


def test_the_callers_word_about_the_header_stands(desk):
    assert list(types(desk.csv("1,2\n3,4\n", header=True))) == ["1", "2"]
    table = desk.csv("a,b\nx,y\n", header=False)
    assert list(types(table)) == ["column_1", "column_2"]
    assert table.rows == 2


def test_names_that_stand_twice_or_not_at_all_are_settled_with_a_warning(desk):
    table = desk.csv("a,a, ,a_2,a,column_3\n1,2,3,4,5,6\n")
    assert list(types(table)) == ["a", "a_3", "column_3_2", "a_2", "a_4", "column_3"]
    assert codes(table) == [("a_3", "duplicate_name"), ("column_3_2", "empty_name"), ("a_4", "duplicate_name")]
    assert list(types(desk.csv("a,a\n1,2\n"))) == ["a", "a_2"]


def test_names_that_differ_in_case_alone_are_two(desk):
    assert list(types(desk.csv("A,a\n1,2\n"))) == ["A", "a"]
    assert desk.rows() == [[1, 2]]


def test_the_callers_delimiter_stands(desk):
    assert list(types(desk.csv("a,b;c\n1,2;3\n", delimiter=";"))) == ["a,b", "c"]


def test_thousands_of_equal_names_take_no_long(desk):
    table = desk.csv(",".join(["a"] * 2000) + "\n" + ",".join(["1"] * 2000) + "\n")
    assert [column["name"] for column in table.columns][-1] == "a_2000"


def test_markers_of_a_file_alone_are_told_of(desk: Desk) -> None:
    table = desk.csv("x,y\n-999,1\n2,?\n", missing=("-999", "?", "NA"))
    assert desk.rows() == [[None, 1], [2, None]]
    (told,) = [each["message"] for each in table.warnings if each["code"] == "own_missing_markers"]
    assert told.startswith("'-999', '?' means a missing value in this file alone")
    assert not [each for each in desk.csv("x,y\n1,2\n").warnings if each["code"] == "own_missing_markers"]
