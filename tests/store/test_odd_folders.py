"""A table has the columns of its file, whatever the folders above it are called."""

import re
import string
from pathlib import Path

import duckdb
import numpy as np
import pytest

from store.tabular import ImportOptions, StoredColumn, import_table, read_columns, read_rows
from store.tabular.answers import as_csv, join_parts, write_part
from store.tabular.blocks import Blocks, Wanted

FOLDERS = [
    "env=prod",
    "a=b/c=d",
    "date=2026-12-01/x",
    "c0=7",
    "year=*",
    "*",
    "**",
    "?x=1",
    "[ab]",
    "[!a]",
    "[",
    "a\\b",
    "\\*",
    "*\\",
    "'\"",
    "a b\tc\nd",
    "#1",
    "%20;--",
    "{a,b}",
    "~",
    "é=\U0001f600",
    "x.parquet",
    "".join(character for character in string.printable if character != "/"),
    "\udcff=\udcfe",
    "x" * 150,
]
CSV = b"a,b\n1,x\n2,y\n3,x\n"
ROWS = [[1, "x"], [2, "y"], [3, "x"]]


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> dict[str, bytes]:
    file = tmp_path_factory.mktemp("plain") / "t"
    duckdb.sql(f"COPY (SELECT * FROM (VALUES (1, 'x'), (2, 'y'), (3, 'x')) t(a, b)) TO '{file}' (FORMAT parquet)")
    lines = b"".join(b'{"a": %d, "b": "%b"}\n' % (row, text.encode()) for row, text in ROWS)
    return {"csv": CSV, "ndjson": lines, "parquet": file.read_bytes()}


def made(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir(parents=True)
    # What the name would match as a pattern holds other tables.
    for other in ("a", "x", "xx", "[", "*x"):
        (tmp_path / other / "ab").mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("name", FOLDERS)
def test_a_table_has_the_columns_of_its_file_wherever_it_lies(tmp_path, tables, name):
    folder = made(tmp_path, name)
    for format, content in tables.items():
        source, out = folder / "in", folder / "ab" / format
        out.parent.mkdir(exist_ok=True)
        source.write_bytes(content)
        table = import_table(source, format, ImportOptions(), out)
        assert [(column["name"], column["type"]) for column in table.columns] == [
            ("a", "numeric"),
            ("b", "categorical"),
        ]
        assert read_rows(out, 10, 0) == ROWS
        assert read_columns(out, ["b"])["b"].categories == ("x", "y")
        with Blocks(out, [Wanted("a", "numeric"), Wanted("b", "categorical", ("y",))]) as blocks:
            block = blocks.read(1, 2)
        assert block["a"].values.tolist() == [2, 3]
        assert block["b"].values.tolist() == [0, 1]
    assert sorted(path.name for path in folder.iterdir()) == ["ab", "in"]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_csv_that_is_written_anew_is_read_there_too(tmp_path, name):
    folder = made(tmp_path, name)
    (folder / "in").write_bytes(b'a,b\r\n1,"x"\n2, "y"\n3,x\n')
    out = folder / "ab" / "out"
    out.parent.mkdir(exist_ok=True)
    import_table(folder / "in", "csv", ImportOptions(), out)
    assert [row[0] for row in read_rows(out, 10, 0)] == [1, 2, 3]


@pytest.mark.parametrize("name", FOLDERS)
def test_parts_of_a_batch_prediction_are_joined_and_told_there(tmp_path, name):
    folder = made(tmp_path, name)
    parts = [folder / "one", folder / "two"]
    for place, part in enumerate(parts):
        write_part([{"p": StoredColumn("numeric", np.array([1.0, 2.0]))}], 2 * place, part)
    join_parts(parts, folder / "all")
    assert b"".join(as_csv(folder / "all", folder)) == b"row,p\n0,1.0\n1,2.0\n2,1.0\n3,2.0\n"


def test_a_folder_made_anew_under_a_name_that_is_a_pattern_is_the_new_one(tmp_path):
    for value in (b"1", b"2"):
        folder = tmp_path / "x*"
        folder.mkdir()
        (folder / "in").write_bytes(b"a,b\n" + value + b",x\n")
        (folder / "ab").mkdir()
        import_table(folder / "in", "csv", ImportOptions(), folder / "ab" / "out")
        assert read_rows(folder / "ab" / "out", 1, 0) == [[int(value), "x"]]
        folder.rename(tmp_path / f"old{value.decode()}")


def test_duckdb_is_told_of_files_in_one_module_alone():
    calls = re.compile(r"\b(read_(csv|json|ndjson|parquet|text|blob)\w*|parquet_\w+|sniff_csv|glob)\(")
    root = Path(__file__).parents[2]
    found = {
        str(path.relative_to(root))
        for package in ("store", "workers")
        for path in (root / package).rglob("*.py")
        if "import duckdb" in path.read_text() and calls.search(path.read_text())
    }
    assert found == set()
