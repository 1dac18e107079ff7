"""What a Parquet file says of itself: believed as far as the file has room for it."""

import io
import random
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from store.errors import UnreadableTable
from store.tabular import ImportOptions, import_table
from store.tabular.parquet_footer import Footer, read_footer
from tests.store.thrift import I32, I64, LIST, STRUCT, Struct, struct, varint

SOUND = pa.table({"x": [1.5, None, 3.0] * 50, "y": ["a", "b", None] * 50, "z": list(range(150))})


def footer_of(path: Path, content: bytes, *, columns: int = 1_000) -> Footer:
    path.write_bytes(content)
    return read_footer(path, max_rows=10**6, max_columns=columns)


def file(metadata: Struct, *, body: bytes = bytes(100)) -> bytes:
    footer = struct(metadata)
    return b"PAR1" + body + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def chunk(**changed: int) -> Struct:
    values = {"type": 1, "rows": 5, "inflated": 40, "packed": 40, "at": 4} | changed
    fields = [(1, I32, values["type"]), (5, I64, values["rows"]), (6, I64, values["inflated"])]
    return [(3, STRUCT, [*fields, (7, I64, values["packed"]), (9, I64, values["at"])])]


def metadata(*, rows: int = 5, groups: list[Struct] | None = None, extra: Struct | None = None) -> Struct:
    schema = [[(4, 8, b"root"), (5, I32, 2)], [(1, I32, 1), (4, 8, b"a")], [(1, I32, 1), (4, 8, b"b")]]
    known = [group(chunk(), chunk(at=44))] if groups is None else groups
    return [(1, I32, 1), (2, LIST, schema), (3, I64, rows), (4, LIST, known), *(extra or [])]


def group(*chunks: Struct, rows: int = 5) -> Struct:
    return [(1, LIST, list(chunks)), (3, I64, rows)]


@pytest.mark.parametrize("version", ["1.0", "2.4", "2.6"])
@pytest.mark.parametrize("options", [{}, {"row_group_size": 40}, {"use_dictionary": False}, {"write_page_index": True}])
def test_what_pyarrow_writes_is_understood(tmp_path, version, options):
    out = io.BytesIO()
    pq.write_table(SOUND, out, version=version, **options)
    found = footer_of(tmp_path / "f", out.getvalue())
    assert (found.names, found.rows) == (("x", "y", "z"), 150)
    assert found.size >= 150 * 3 * 8


def test_what_duckdb_writes_is_understood(tmp_path):
    query = (
        "SELECT range AS a, 'x' || range % 3 AS b, range % 2 = 0 AS c, NULL AS d, DATE '2020-01-01' AS e, uuid() AS f"
    )
    duckdb.sql(f"COPY ({query} FROM range(300000)) TO '{tmp_path}/f' (FORMAT parquet)")
    found = read_footer(tmp_path / "f", max_rows=10**6, max_columns=10)
    assert (found.names, found.rows) == (tuple("abcdef"), 300_000)


def test_a_footer_of_our_own_making_is_understood(tmp_path):
    assert footer_of(tmp_path / "f", file(metadata())) == Footer(("a", "b"), 5, 80, 80)


def deep(depth: int) -> Struct:
    inner: Struct = []
    for _ in range(depth):
        inner = [(1, STRUCT, inner)]
    return inner


LIES = {
    "more rows than the groups have": metadata(rows=6),
    "rows below zero": metadata(rows=-5, groups=[group(chunk(rows=-5), chunk(rows=-5), rows=-5)]),
    "a group of one column": metadata(groups=[group(chunk())]),
    "a group of no column": metadata(groups=[[(3, I64, 5)]]),
    "a column of other rows": metadata(groups=[group(chunk(rows=4), chunk(at=44))]),
    "a column past the end": metadata(groups=[group(chunk(), chunk(at=90))]),
    "a column before the beginning": metadata(groups=[group(chunk(at=-1), chunk())]),
    "sizes below zero": metadata(groups=[group(chunk(packed=-1), chunk())]),
    "columns that share bytes": metadata(groups=[group(chunk(packed=90), chunk(packed=90))]),
    "a column elsewhere": metadata(groups=[group([(1, 8, b"/etc/passwd"), *chunk()], chunk(at=44))]),
    "the schema twice": metadata(extra=[(2, LIST, [[(4, 8, b"root")]])]),
    "depth where nobody looks": metadata(extra=[(99, STRUCT, deep(4_000))]),
    "rows as text": [(3, 8, b"5")],
    "a name that is no UTF-8": [(2, LIST, [[(4, 8, b"\xff")]])],
    "nothing": [],
}


@pytest.mark.parametrize("lie", LIES)
def test_what_contradicts_itself_is_refused(tmp_path, lie):
    with pytest.raises(UnreadableTable, match=r"cannot be read as Parquet|no column"):
        footer_of(tmp_path / "f", file(LIES[lie]))


RAW = {
    "a list longer than the file": b"\x29\xfc" + varint(1 << 40),
    "a schema of a million": b"\x29\xfc" + varint(1_000_000) + bytes(1_000_000),
    "groups without number": struct(metadata(groups=[])[:3])[:-1] + b"\x19\xfc" + varint(400_000) + bytes(400_000),
    "a text longer than the file": b"\x68" + varint(1 << 60),
    "a varint without end": b"\x26" + b"\xff" * 1_000,
    "a map longer than the file": b"\x6b" + varint(1 << 40) + b"\x33",
    "lists 10,000 deep": b"\x69" + b"\x19" * 10_000,
    "a type that there is not": b"\x1d",
}


@pytest.mark.parametrize("name", RAW)
def test_what_claims_more_than_there_is_is_refused_at_once(tmp_path, name):
    content = b"PAR1" + RAW[name] + len(RAW[name]).to_bytes(4, "little") + b"PAR1"
    began = time.process_time()
    with pytest.raises(UnreadableTable):
        footer_of(tmp_path / "f", content)
    assert time.process_time() - began < 1


def test_broken_bytes_are_refused_or_read_and_never_more(tmp_path, pytestconfig):
    out = io.BytesIO()
    pq.write_table(SOUND, out, row_group_size=70)
    whole, draw = out.getvalue(), random.Random(3)
    length = int.from_bytes(whole[-8:-4], "little")
    for turn in range(20_000 if pytestconfig.getoption("--full") else 1_500):
        content = bytearray(whole)
        for _ in range(draw.randrange(1, 4)):
            content[-8 - draw.randrange(1, length)] = draw.randrange(256)
        try:
            footer_of(tmp_path / "f", bytes(content[: draw.randrange(len(whole))] if turn % 5 == 0 else content))
        except UnreadableTable:
            continue


def test_texts_are_counted_as_often_as_they_stand_before_they_are_unfolded(tmp_path):
    texts = pa.array([f"{row % 7} {'long ' * 1_000}" for row in range(3_000)]).dictionary_encode()
    pq.write_table(pa.table({"t": texts, "n": list(range(3_000))}), tmp_path / "f")
    assert (tmp_path / "f").stat().st_size < 30_000
    with pytest.raises(UnreadableTable, match="texts of the table take more than 10000000 bytes"):
        import_table(tmp_path / "f", "parquet", ImportOptions(), tmp_path / "out", max_bytes=80_000_000)
    table = import_table(tmp_path / "f", "parquet", ImportOptions(), tmp_path / "out", max_bytes=160_000_000)
    assert (table.rows, table.columns[0]["distinct"]) == (3_000, 7)
