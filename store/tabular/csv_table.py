# ruff: noqa: S608  the SQL is made of our own column numbers and quoted paths
"""CSV into DuckDB: the fast way for plain files, the exact way for the rest; both end in the same table."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from store.errors import UnreadableTable
from store.tabular import files
from store.tabular.csv_dialect import Dialect, find_dialect, is_number
from store.tabular.csv_walk import line_of, rewrite, survey
from store.tabular.declarations import EXACT, ImportOptions, Kind, RawTable, warning
from store.tabular.naming import settle_names


@dataclass(frozen=True)
class _Form:
    delimiter: str
    header: bool
    line_end: str  # as DuckDB spells it
    missing: tuple[str, ...]


_TRIES = 6
_AT_ONCE = 100  # columns asked about in one query
_CONVERTED = re.compile(r'converting column "c(\d+)"')
_REWRITTEN = _Form(delimiter=",", header=True, line_end=r"\n", missing=("",))


def load(
    connection: duckdb.DuckDBPyConnection, path: Path, options: ImportOptions, rewritten: Path, max_columns: int
) -> RawTable:
    """Makes the table `raw`; `rewritten` is where the file may be written anew. Raises UnreadableTable."""
    dialect = find_dialect(path, options)
    if dialect.width > max_columns:
        raise UnreadableTable(f"{dialect.width} columns, more than {max_columns}", line=1)
    names, warnings = _named(dialect, found=options.header is None)
    missing = {"", *options.missing}
    seen = survey(path, dialect, missing)
    awkward = any(set(marker) & {dialect.delimiter, '"', "\n", "\r"} for marker in missing)
    types = [
        "DOUBLE" if number and not seen.grouped and options.types.get(name, "numeric") == "numeric" else "VARCHAR"
        for name, number in zip(names, dialect.numbers, strict=True)
    ]
    plain = seen.plain and not awkward
    as_it_stands = _Form(dialect.delimiter, dialect.header, seen.line_end, tuple(sorted(seen.missing)))
    if not (plain and _read(connection, path, as_it_stands, types)):
        # Either finds what is wrong and says so, or finds nothing and leaves a file that DuckDB reads as it stands.
        rewrite(path, dialect, missing, rewritten)
        if not _read(connection, rewritten, _REWRITTEN, types):
            raise UnreadableTable("the file cannot be read as CSV")
    kinds: tuple[Kind, ...] = tuple("open" for _ in names)
    return RawTable(names, kinds, lambda row: line_of(path, dialect, row), warnings)


def _named(dialect: Dialect, found: bool) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    if dialect.header:
        names, warnings = settle_names(dialect.cells)
        digits = next((name for name in names if is_number(name)), None)
        if digits is not None and found:
            warnings.append(
                warning(digits, "number_in_header", f"the first line was taken for names, {digits!r} among them")
            )
        return names, warnings
    names = tuple(f"column_{place}" for place in range(1, dialect.width + 1))
    return names, [
        warning(names[0], "no_header", "the first line was taken for data; columns are named by their place")
    ]


def _read(connection: duckdb.DuckDBPyConnection, path: Path, form: _Form, types: Sequence[str]) -> bool:
    """Whether DuckDB took the file. A column that looked like numbers and is not, further down, is read as text."""
    tried = list(types)
    for tries_left in range(_TRIES, 0, -1):
        columns = ", ".join(f"'c{place}': '{type}'" for place, type in enumerate(tried))
        try:
            connection.execute(
                "CREATE OR REPLACE TABLE raw AS SELECT * FROM "
                + files.csv(
                    path,
                    f"header={form.header}, delim={files.text(form.delimiter)}, quote='\"', escape='\"',"
                    f" new_line='{form.line_end}', encoding='utf-8', nullstr={files.texts(form.missing)},"
                    f" columns={{{columns}}}",
                )
            )
        except duckdb.ConversionException as error:
            named = _CONVERTED.search(str(error))
            if named and tries_left > 3:
                tried[int(named[1])] = "VARCHAR"
            else:  # each try reads the file again
                tried = ["VARCHAR"] * len(types)
            continue
        except duckdb.InvalidInputException:
            return False
        rounded = _rounded(connection, tried)
        if not rounded:
            return True
        for place in rounded:  # read again as they are written
            tried[place] = "VARCHAR"
    return False


def _rounded(connection: duckdb.DuckDBPyConnection, types: Sequence[str]) -> list[int]:
    """Return the columns read as doubles that hold a whole number past 2^53: the file may hold another."""
    doubles = [place for place, type in enumerate(types) if type == "DOUBLE"]
    found = []
    for start in range(0, len(doubles), _AT_ONCE):
        batch = doubles[start : start + _AT_ONCE]
        sizes = ", ".join(f"coalesce(max(abs(c{place})), 0) >= {EXACT}" for place in batch)
        (row,) = connection.execute(f"SELECT {sizes} FROM raw").fetchall()
        found += [place for place, is_large in zip(batch, row, strict=True) if is_large]
    return found
