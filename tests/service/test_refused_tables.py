"""A file that is no table is refused with where and why, whatever it claims to be, and nothing of it is kept."""

import gzip
import io
from typing import Any

import pytest

from tests.service.refusals import House

GOOD = b"a,b\n1,2\n"
RAGGED = b"a,b\n1,2\n3\n"

# The file, its media type, the query; then the status, the path and words of what is allowed.
TABLES: list[tuple[Any, ...]] = [
    (b"", "text/csv", "", 422, "file", "empty"),
    (b"a,b\n", "text/csv", "", 422, "file", "no data row"),
    (RAGGED, "text/csv", "", 422, "file", "line 3 has 1 values"),
    (b"\x00\x01\x02\xff" * 50, "text/csv", "", 422, "file", ""),
    (b"\xff\xfe\x00a", "text/csv", "", 422, "file", ""),
    (b"PAR1 nonsense PAR1", "application/vnd.apache.parquet", "", 422, "file", ""),
    (b'{"a": 1}\n{"a": ', "application/x-ndjson", "", 422, "file", ""),
    (GOOD, "application/json", "", 415, None, "text/csv"),
    (GOOD, "", "", 415, None, "text/csv"),
    (GOOD, "text/csv; charset=latin-1", "", 415, None, "UTF-8"),
    (b"x\n" + b"1\n" * 60_000, "text/csv", "", 413, None, "100000 bytes"),
    (GOOD, "text/csv", "rows=3", 422, "rows", "allowed: delimiter"),
    (GOOD, "text/csv", "name=", 422, "name", "1 to 200"),
    (GOOD, "text/csv", "name=x&name=y", 422, "name", "once"),
    (GOOD, "text/csv", "name=a%00b", 422, "name", "control characters"),
    (GOOD, "text/csv", "name=%ff", 400, None, "UTF-8"),
    (GOOD, "text/csv", "header=yes", 422, "header", "true or false"),
    (GOOD, "text/csv", "delimiter=ab", 422, "delimiter", "one ASCII character"),
    (GOOD, "text/csv", "types=numeric", 422, "types", "a JSON object"),
    (GOOD, "text/csv", 'types={"a":"zip"}', 422, "types.a", "numeric, categorical"),
    (GOOD, "text/csv", 'types={"c":"numeric"}', 422, "types.c", "no column"),
    (b'{"a": 1}\n', "application/x-ndjson", "header=true", 422, "header", "text/csv"),
]


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_cannot_be_read_is_refused_and_nothing_kept(house: House, case: tuple[Any, ...]) -> None:
    table, media, query, *refusal = case
    house.refuses(tuple(refusal), "POST", f"/v1/datasets?{query}", data=table, content_type=media)


def test_a_ragged_table_is_refused_with_its_line(house: House) -> None:
    refused = house.caller.send(RAGGED).json
    assert (refused["line"], refused["column"]) == (3, "b")


@pytest.mark.parametrize("table", [b"", b"a,b\n", b'a,b\n1,"2\n', b"a,b\n1,\xff\n", b"a,b\n1,\0\n"])
def test_line_and_column_are_always_there_and_null_where_there_is_none(house: House, table: bytes) -> None:
    refused = house.caller.send(table).json
    assert refused["line"] == (2 if table.count(b"\n") > 1 else None)
    assert refused["column"] is None


def test_a_number_past_float64_is_not_said_to_be_another_text(house: House) -> None:
    refused = house.caller.send(b"a,b\n1,2\n1e400,3\n").json
    assert (refused["line"], refused["column"]) == (3, "a")
    assert "'inf'" not in refused["detail"]


@pytest.mark.parametrize(
    "case",
    [
        (GOOD, "gzip", 422, "file", "gzip"),
        (gzip.compress(GOOD)[:-6], "gzip", 422, "file", "gzip"),
        (gzip.compress(b"0" * 10_000_000), "gzip", 413, None, "inflated"),
        (GOOD, "br", 415, None, "gzip"),
    ],
)
def test_a_compressed_table_is_counted_as_it_inflates(house: House, case: tuple[Any, ...]) -> None:
    body, encoding, *refusal = case
    sent = {"data": body, "content_type": "text/csv", "headers": {"Content-Encoding": encoding}}
    house.refuses(tuple(refusal), "POST", "/v1/datasets", **sent)


def file(name: str, content: bytes = GOOD) -> tuple[io.BytesIO, str]:
    return io.BytesIO(content), name


@pytest.mark.parametrize(
    "case",
    [
        ({}, 422, "file", "one part with the table"),
        ({"name": "x"}, 422, "file", "one part with the table"),
        ({"file": file("x.csv"), "colour": "red"}, 422, "colour", "allowed: file, name"),
        ({"file": file("x.csv"), "name": ""}, 422, "name", "1 to 200"),
        ({"file": file("x.exe")}, 415, None, ".csv"),
        ({"file": file("x.csv", b"a\n")}, 422, "file", "no data row"),
        ({"file": file("x.csv"), **{f"p{n}": "x" for n in range(11)}}, 413, None, "larger"),
    ],
)
def test_a_wrong_form_is_refused(house: House, case: tuple[Any, ...]) -> None:
    form, *refusal = case
    house.refuses(tuple(refusal), "POST", "/v1/datasets", data=dict(form), content_type="multipart/form-data")
