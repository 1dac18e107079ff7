# ruff: noqa: S608  the SQL is made of our own column numbers and quoted names and paths
"""Tables of answers: written as Parquet in parts, the parts joined to one file, and that read as CSV in pieces.

The first column, `row`, is the number of the row in the dataset that was answered, from 0: whoever sorts the table, or
reads it by many hands, can still tell what belongs together.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np

from store.durable import room_needed, tells_of_no_room, temporary_file
from store.errors import Full
from store.tabular import files, sandbox
from store.tabular.declarations import StoredColumn

ROW = "row"
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes a cell for a formula by

_MEMORY_BYTES = 256 << 20
_ROWS_A_GROUP = 122_880
_PIECE_BYTES = 32 << 10
_PARQUET = (
    f"(FORMAT parquet, USE_TMP_FILE false, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {_ROWS_A_GROUP})"
)

Answers = Mapping[str, StoredColumn]


def write_part(stretches: Sequence[Answers], first_row: int, out: Path) -> None:
    """Answers to rows from `first_row` on, one stretch behind the other, all with the same columns, over what stands in
    `out`. Raises Full.

    Whole numbers are written as such, NaN as missing; of two names that differ at most in case the later gets a number.
    """
    out = out.absolute()
    columns = stretches[0]
    names = [ROW, *columns]
    chosen = ", ".join(
        f"{expression} AS {_quoted(name)}"
        for expression, name in zip(
            [ROW, *(_expression(f"c{place}", column) for place, column in enumerate(columns.values()))],
            _told_apart(names),
            strict=True,
        )
    )
    with _writing(out, [out]) as connection:
        start = first_row
        for number, stretch in enumerate(stretches):
            arrays = {f"c{place}": column.values for place, column in enumerate(stretch.values())}
            rows = len(next(iter(arrays.values())))
            connection.register(f"s{number}", {ROW: np.arange(start, start + rows, dtype=np.int64), **arrays})
            start += rows
        every = " UNION ALL ".join(f"SELECT {chosen} FROM s{number}" for number in range(len(stretches)))
        connection.execute(f"COPY ({every}) TO {files.target(out)} {_PARQUET}")


def join_parts(parts: Sequence[Path], out: Path) -> None:
    """One file of all rows, part behind part, over what stands in `out`. Raises Full."""
    parts, out = [part.absolute() for part in parts], out.absolute()
    with _writing(out, [*parts, out]) as connection:
        every = f"SELECT * FROM {files.parquet(parts)}"
        connection.execute(f"COPY ({every}) TO {files.target(out)} {_PARQUET}")


def as_csv(path: Path, scratch: Path) -> Iterator[bytes]:
    """The file as CSV with a header, in small pieces; missing is empty. Raises Full.

    A group of rows at a time is written to a file aside, and the connection closed, so that a reader who stalls holds
    no memory. A text that a spreadsheet would run as a formula has an apostrophe before it; no column's name begins
    like one.
    """
    path = path.absolute()
    with temporary_file(scratch.absolute()) as (piece, _):
        file, to = files.parquet(path, row_numbers=True), files.target(piece)
        with _writing(piece, [path, piece]) as connection:
            ((rows,),) = connection.execute(
                f"SELECT num_rows FROM {files.metadata(path, 'parquet_file_metadata')}"
            ).fetchall()
            described = connection.execute(f"DESCRIBE SELECT * FROM {files.parquet(path)}").fetchall()
        columns = ", ".join(
            _harmless(_quoted(name)) if type == "VARCHAR" else _quoted(name) for name, type, *_ in described
        )
        every = f"SELECT {columns} FROM {file}"
        for first in range(0, rows, _ROWS_A_GROUP):
            within = f"file_row_number >= {first} AND file_row_number < {first + _ROWS_A_GROUP}"
            header = "true" if first == 0 else "false"
            with _writing(piece, [path, piece]) as connection:
                connection.execute(
                    f"COPY ({every} WHERE {within}) TO {to} (FORMAT csv, USE_TMP_FILE false, HEADER {header})"
                )
            with piece.open("rb") as written:
                while content := written.read(_PIECE_BYTES):
                    yield content


@contextmanager
def _writing(out: Path, opened: Sequence[Path]) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        with room_needed(), sandbox.sandbox(opened, out.parent, _MEMORY_BYTES) as connection:
            yield connection
    except duckdb.OutOfMemoryException as error:
        raise MemoryError(str(error)) from error
    except duckdb.IOException as error:
        if tells_of_no_room(error):
            raise Full("no room is left for the answers") from error
        raise


def _expression(c: str, column: StoredColumn) -> str:
    if column.type == "boolean":
        return f"CASE WHEN {c} >= 0 THEN CAST({c} AS BOOLEAN) END"
    if column.categories is not None:
        return f"{files.texts(map(str, column.categories))}[{c} + 1]"
    if column.integral:
        return f"CAST(nullif({c}, CAST('NaN' AS DOUBLE)) AS BIGINT)"
    return f"nullif({c}, CAST('NaN' AS DOUBLE))"


def _harmless(c: str) -> str:
    formula = " OR ".join(f"starts_with({c}, {files.text(start)})" for start in FORMULA)
    return f"CASE WHEN {formula} THEN concat('''', {c}) ELSE {c} END AS {c}"


def _told_apart(names: Sequence[str]) -> list[str]:
    """DuckDB takes two names that differ only in case for one, and so do many who read the file."""
    taken = {name.lower() for name in names}
    seen: set[str] = set()
    found = []
    for name in names:
        settled, number = name, 1
        while settled.lower() in (seen if number == 1 else taken):
            number += 1
            settled = f"{name}_{number}"
        seen.add(settled.lower())
        taken.add(settled.lower())
        found.append(settled)
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
