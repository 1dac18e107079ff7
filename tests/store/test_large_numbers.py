"""Whole numbers past 2^53 mean the same wherever they stand in a file, and whichever format it has."""

import io
import random
from itertools import permutations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from store.errors import UnreadableTable
from tests.store.tables_on_disk import Desk


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


BIG = 1582218195625938945
PAST = 12345678901234567890  # past 64 bits with a sign


def codes(table, name="n"):
    return [each["code"] for each in table.warnings if each["column"] == name]


def column(table, name="n"):
    return next(each for each in table.columns if each["name"] == name)


@pytest.mark.parametrize("place", [0, 1, 150, 250, 299])
@pytest.mark.parametrize("number", [BIG, -BIG, 2**53 + 1, 2**62 + 1])
def test_number_is_kept_wherever_it_stands(desk, place, number):
    numbers = [*range(300)]
    numbers[place] = number
    table = desk.csv("n,m\n" + "".join(f"{each},x\n" for each in numbers))
    assert [row[0] for row in desk.rows()] == numbers
    assert column(table)["integer"]
    assert column(table)["distinct"] == 300
    assert codes(table) == ["large_numbers"]


def test_forty_late_numbers_stay_forty(desk):
    numbers = [*range(300), *(BIG + each for each in range(40))]
    table = desk.csv("n\n" + "".join(f"{each}\n" for each in numbers))
    assert column(table)["distinct"] == 340
    assert [row[0] for row in desk.rows()] == numbers


@pytest.mark.parametrize("order", [*permutations([1, 2**53 + 1, 0.5])])
def test_fractions_among_them_do_not_hide_the_loss(desk, order):
    table = desk.csv("n\n" + "".join(f"{each}\n" for each in [*order, *[7] * 250]))
    assert codes(table) == ["large_numbers"]


@pytest.mark.parametrize("first", [0, 250])
def test_numbers_past_64_bits_are_warned_of(desk, first):
    table = desk.csv("n\n" + "1\n" * first + "".join(f"{PAST + 7 * each}\n" for each in range(40)))
    assert codes(table) == ["large_numbers"]


def test_numbers_past_64_bits_are_warned_of_in_json_lines(desk):
    table = desk.ndjson("".join(f'{{"n":{PAST + 7 * each}}}\n' for each in range(40)))
    assert codes(table) == ["large_numbers"]


@pytest.mark.parametrize("type", [pa.uint64(), pa.decimal128(38, 0), pa.decimal128(20, 0)])
def test_numbers_past_64_bits_are_warned_of_in_parquet(desk, type):
    content = parquet([PAST + 7 * each for each in range(40)], type)
    assert codes(desk.parquet_file(content)) == ["large_numbers"]


@pytest.mark.parametrize("type", [pa.uint64(), pa.decimal128(38, 0), pa.int64()])
def test_numbers_of_64_bits_are_kept_in_parquet(desk, type):
    content = parquet([BIG + each for each in range(40)], type)
    table = desk.parquet_file(content)
    assert codes(table) == ["large_numbers"]
    assert [row[0] for row in desk.rows()] == [BIG + each for each in range(40)]


@pytest.mark.parametrize("text", ["1e300", "1.5e17", "9007199254740992", "1e16", "0.1", "123456789012345.5"])
def test_other_large_numbers_are_not_warned_of(desk, text):
    draw = random.Random(text)
    rows = [text, *(f"{draw.random()}" for _ in range(300))]
    for content in (rows, rows[::-1]):
        assert codes(desk.csv("n\n" + "".join(f"{each}\n" for each in content))) == []


@pytest.mark.parametrize(
    "type", [pa.int64(), pa.bool_(), pa.timestamp("us"), pa.null(), pa.float64(), pa.string(), pa.uint64()]
)
def test_column_without_a_value_is_told_of_in_parquet(desk, type):
    content = parquet([None] * 5, type, other=range(5))
    assert codes(desk.parquet_file(content)) == ["all_missing"]


@pytest.mark.parametrize("said", ["sep=;", "sep=,", '"sep=|"', "SEP=;"])
def test_line_that_says_the_separator_is_refused_with_the_way_out(desk, said):
    with pytest.raises(UnreadableTable, match="leave it out, and say the delimiter"):
        desk.csv(f"{said}\r\na;b\r\n1;2\r\n")


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "\x7fa", "a\tb"])
def test_control_characters_in_names_become_spaces(desk, name):
    content = parquet([1, 2], pa.int64(), name=name)
    table = desk.parquet_file(content)
    (found,) = [each["name"] for each in table.columns]
    assert found.isprintable()
    assert codes(table, found) == ["control_characters"]


def test_json_line_with_one_key_twice_is_refused(desk):
    for line in ('{"n":1,"n":2}', '{"n":1,"m":"\\"","n":2}', '{"n":"a","\\u006e":"b"}'):
        with pytest.raises(UnreadableTable, match="line 2: 'n' stands there twice"):
            desk.ndjson('{"n":1,"m":"x"}\n' + line + "\n")


def parquet(values, type, *, name="n", other=None):
    columns = {name: pa.array(values, type=type)}
    if other is not None:
        columns["other"] = pa.array(other)
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()
