"""Tables from strangers: their words never become SQL, their claims are held against limits, DuckDB stays shut in."""

import resource
import threading

import duckdb
import pytest

from store.errors import UnreadableTable
from store.tabular import ImportOptions, import_table, read_columns, read_rows, sandbox

SQL = [
    "'); DROP TABLE raw; --",
    "\"; ATTACH '/tmp/evil.db'; --",
    "c0\"', (SELECT content FROM read_text('/etc/passwd')), '",
    "']; SET enable_external_access=true; --",
    "{learnd: 'x'}",
    "$$;COPY raw TO '/tmp/evil'",
    "\\'; SELECT 1; --",
]


@pytest.mark.parametrize("word", SQL)
def test_sql_in_names_values_and_options_is_only_text(tmp_path, word):
    quoted = '"' + word.replace('"', '""') + '"'
    file, out = tmp_path / "it's a file", tmp_path / "a '; folder"
    file.write_text(f"{quoted},n\n{quoted},1\nx,{quoted}\n,3\n")
    table = import_table(file, "csv", ImportOptions(missing=(f"{word} ",), header=True), out)
    assert [column["name"] for column in table.columns] == [word, "n"]
    assert read_rows(out, 10, 0) == [[word, "1"], ["x", word], [None, "3"]]
    column = read_columns(out, [word])[word]
    assert [column.categories[code] for code in column.values[:2]] == [word, "x"]
    table = import_table(file, "csv", ImportOptions(missing=(word,), types={word: "categorical"}), out)
    assert read_rows(out, 10, 0) == [[None, 1], ["x", None], [None, 3]]
    with pytest.raises(UnreadableTable):
        import_table(file, "csv", ImportOptions(types={f"{word}!": "categorical"}), out)


def test_an_import_can_open_its_own_files_and_no_other(tmp_path):
    mine, other = tmp_path / "mine.csv", tmp_path / "other.csv"
    mine.write_text("a\n1\n")
    other.write_text("secret\n1\n")
    with sandbox.sandbox([mine], tmp_path, 64 << 20) as connection:
        assert connection.execute(f"SELECT * FROM read_csv('{mine}')").fetchall() == [(1,)]
        for statement in (
            f"SELECT * FROM read_csv('{other}')",
            "SELECT * FROM read_text('/etc/passwd')",
            f"COPY (SELECT 1) TO '{tmp_path}/new.csv'",
            f"ATTACH '{tmp_path}/new.db'",
            "INSTALL httpfs",
            "SET enable_external_access=true",
            f"SET allowed_paths=['{other}']",
            "SET memory_limit='100GB'",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.csv", "other.csv"]


def test_a_reader_can_open_nothing_outside_the_folder_of_tables(tmp_path):
    inside = tmp_path / "blobs" / "ab" / "cd"
    inside.parent.mkdir(parents=True)
    source, other = tmp_path / "in.csv", tmp_path / "other.csv"
    source.write_text("a\n1\n")
    other.write_text("a\n1\n")
    import_table(source, "csv", ImportOptions(), inside)
    assert read_rows(inside, 1, 0) == [[1]]
    with sandbox.reader(inside) as connection:
        for statement in (
            f"SELECT * FROM read_csv('{other}')",
            f"SELECT * FROM read_csv('{inside.parent}/../../other.csv')",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)


def test_many_threads_may_read_at_once_and_from_many_folders(tmp_path):
    files = []
    for number in range(8):
        file, out = tmp_path / f"{number}.csv", tmp_path / str(number) / "ab" / "cd"
        out.parent.mkdir(parents=True)
        file.write_text("n,s\n" + f"{number},v{number}\n" * 500)
        import_table(file, "csv", ImportOptions(), out)
        files.append(out)
    wrong = []

    def read(number: int) -> None:
        for turn in range(10):
            n = (number + turn) % len(files)
            columns = read_columns(files[n], ["n", "s"])
            if set(columns["n"].values) != {n} or columns["s"].categories != (f"v{n}",):
                wrong.append(n)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_parquet_that_packs_a_thousand_million_cells_into_little_is_refused_unread(tmp_path):
    file = tmp_path / "bomb.parquet"
    columns = ", ".join(f"0::BIGINT AS c{n}" for n in range(50))
    duckdb.sql(f"COPY (SELECT {columns} FROM range(500000)) TO '{file}' (FORMAT parquet)")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnreadableTable, match="bytes in memory"):
        import_table(file, "parquet", ImportOptions(), tmp_path / "out", max_bytes=500_000 * 50 * 8 - 1)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 30 << 20
    with pytest.raises(UnreadableTable, match="rows, more than"):
        import_table(file, "parquet", ImportOptions(), tmp_path / "out", max_rows=499_999)


def test_a_table_larger_than_its_memory_spills_beside_and_leaves_nothing(tmp_path):
    file, out = tmp_path / "in.csv", tmp_path / "out"
    file.write_text("s,n\n" + "".join(f"{'long ' * 40}{row},{row}\n" for row in range(400_000)))
    assert file.stat().st_size > 64 << 20
    table = import_table(file, "csv", ImportOptions(), out, memory_bytes=64 << 20)
    assert (table.rows, table.columns[0]["distinct"]) == (400_000, 400_000)
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out"}


def test_a_table_that_no_memory_is_enough_for_is_refused(tmp_path):
    file = tmp_path / "in.csv"
    file.write_text("s,n\n" + "".join(f"the text of row {row},{row}\n" for row in range(200_000)))
    with pytest.raises(UnreadableTable, match="bytes of memory"):
        import_table(file, "csv", ImportOptions(), tmp_path / "out", memory_bytes=2 << 20)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
