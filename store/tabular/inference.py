# ruff: noqa: S608  the SQL is made of our own column numbers and quoted paths
"""The type of each column, from all its values: what it is, how it is stored, and what is odd about it.

A column is numeric if every value is a number (and then each must be finite), boolean if every one is true or false in
any case, datetime if every one is a date or a time by ISO 8601. Other strings are categorical; but with more than 100
different ones, and more than half as many as there are rows, they are text.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import duckdb

from store.errors import UnreadableTable
from store.tabular.declarations import ColumnType, RawTable, warning

_AT_ONCE = 100
_EXACT = 2**53
_ISO = (
    r"\d{4}[-/]\d{1,2}[-/]\d{1,2}"
    r"([T ]\d{1,2}:\d{2}(:\d{2}([.]\d{1,9})?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?)?"
)
_TYPE_NOUNS = {"numeric": "a finite number", "boolean": "true or false", "datetime": "a date or a time by ISO 8601"}


@dataclass(frozen=True)
class Settled:
    """A column's type and the SQL expression over `raw` that stores it."""

    type: ColumnType
    expression: str
    integral: bool = False


@dataclass(frozen=True)
class _Texts:
    """How many a string column has: values, different ones, numbers, finite ones, booleans, ones with outer spaces."""

    present: int
    distinct: int
    numbers: int
    finite: int
    booleans: int
    spaced: int


def settle(
    connection: duckdb.DuckDBPyConnection, table: RawTable, forced: Mapping[str, ColumnType], rows: int
) -> tuple[list[Settled], list[dict[str, str]]]:
    """Raises UnreadableTable for a value that is not what its column must be, with its line where there are lines."""
    raw = [row[1] for row in connection.execute("DESCRIBE raw").fetchall()]
    warnings: list[dict[str, str]] = []
    texts = _survey(connection, [place for place, type in enumerate(raw) if type == "VARCHAR"], _text_counts)
    numbers = _survey(connection, [place for place, type in enumerate(raw) if type == "DOUBLE"], _number_counts)
    whole = [place for place, (*_, all_whole) in numbers.items() if all_whole]
    largest = _survey(connection, whole, lambda c: [f"max(abs({c}))"])
    settled: list[Settled] = []
    for place, type in enumerate(raw):
        column = _Column(connection, table, place, warnings)
        if type == "VARCHAR":
            settled.append(column.of_texts(_Texts(*texts[place]), forced.get(table.names[place]), rows))
        elif type == "DOUBLE":
            present, total, _ = numbers[place]
            whole_to = largest[place][0] if place in largest else None
            settled.append(column.of_numbers(present, total, whole_to))
        else:
            fixed: dict[str, ColumnType] = {"BIGINT": "numeric", "BOOLEAN": "boolean", "TIMESTAMP": "datetime"}
            settled.append(Settled(fixed[type], column.c, integral=type == "BIGINT"))
    return settled, warnings


def _survey(
    connection: duckdb.DuckDBPyConnection, places: Sequence[int], counts: Callable[[str], list[str]]
) -> dict[int, tuple[Any, ...]]:
    """The counts of each of these columns, some columns at a time: DuckDB takes long over 10,000 at once."""
    found: dict[int, tuple[Any, ...]] = {}
    for start in range(0, len(places), _AT_ONCE):
        batch = places[start : start + _AT_ONCE]
        chosen = [counts(f"c{place}") for place in batch]
        row = connection.execute(f"SELECT {', '.join(chain.from_iterable(chosen))} FROM raw").fetchall()[0]
        width = len(chosen[0])
        for offset, place in enumerate(batch):
            found[place] = row[offset * width : (offset + 1) * width]
    return found


def _text_counts(c: str) -> list[str]:
    return [
        f"count({c})",
        f"count(DISTINCT {c})",
        f"count(*) FILTER ({_is_number(c)})",
        f"count(*) FILTER ({_is_number(c)} AND isfinite(TRY_CAST({c} AS DOUBLE)))",
        f"count(*) FILTER (lower({c}) IN ('true', 'false'))",
        f"count(*) FILTER ({c} <> trim({c}))",
    ]


def _number_counts(c: str) -> list[str]:
    # One sum tells of any value that is not finite, at a fraction of what looking at each takes.
    return [f"count({c})", f"sum({c})", f"coalesce(bool_and({c} = trunc({c})), false)"]


def _is_number(c: str) -> str:
    return f"TRY_CAST({c} AS DOUBLE) IS NOT NULL AND NOT contains({c}, '_')"  # DuckDB would take 1_000 for a thousand


def _is_moment(c: str) -> str:
    return f"regexp_full_match({c}, '{_ISO}') AND TRY_CAST({c} AS TIMESTAMPTZ) IS NOT NULL"


@dataclass(frozen=True)
class _Column:
    connection: duckdb.DuckDBPyConnection
    table: RawTable
    place: int
    warnings: list[dict[str, str]]

    @property
    def c(self) -> str:
        return f"c{self.place}"

    @property
    def name(self) -> str:
        return self.table.names[self.place]

    def of_numbers(self, present: int, total: float | None, whole_to: float | None) -> Settled:
        if total is not None and not math.isfinite(total):  # or only the sum is too large
            self.refuse(f"isfinite({self.c})", "numeric")
        whole = whole_to is not None and whole_to < _EXACT
        if not present:
            self.warn("all_missing", "the column holds no value")
        return Settled("numeric", f"CAST({self.c} AS BIGINT)" if whole else self.c, integral=whole)

    def of_texts(self, counts: _Texts, forced: ColumnType | None, rows: int) -> Settled:
        kind = self.table.kinds[self.place]
        if not counts.present:
            self.warn("all_missing", "the column holds no value")
        if forced in ("categorical", "text"):
            return Settled(forced, self.c)
        if forced == "numeric" or kind == "number":
            return self.numeric()
        if forced == "boolean" or kind == "boolean":
            return self.boolean()
        if forced == "datetime":
            return self.datetime()
        if not counts.present:
            return Settled("categorical", self.c)
        if kind == "open" and counts.numbers == counts.present and counts.finite:
            return self.numeric()
        if kind == "open" and counts.booleans == counts.present:
            return self.boolean()
        if self.first_unlike(_is_moment(self.c)) is None:
            return self.datetime()
        if kind == "open" and counts.numbers * 2 >= counts.present:
            self.warn_of_mixture(counts)
        if counts.spaced:
            self.warn("surrounding_spaces", f"{counts.spaced} values begin or end with a space, which is kept")
        many = counts.distinct > 100 and counts.distinct * 2 > rows
        return Settled("text" if many else "categorical", self.c)

    def numeric(self) -> Settled:
        number, whole = f"TRY_CAST({self.c} AS DOUBLE)", f"TRY_CAST({self.c} AS BIGINT)"
        self.refuse(f"{_is_number(self.c)} AND isfinite({number})", "numeric")
        # A cast to a whole number rounds, so it is only taken where it changes nothing.
        checked = f"SELECT coalesce(bool_and({whole} IS NOT NULL AND CAST({whole} AS DOUBLE) = {number}), false)"
        (integral,) = self.connection.execute(f"{checked} FROM raw WHERE {self.c} IS NOT NULL").fetchall()[0]
        return Settled("numeric", whole if integral else number, integral=integral)

    def boolean(self) -> Settled:
        self.refuse(f"lower({self.c}) IN ('true', 'false', '1', '0')", "boolean")
        return Settled("boolean", f"lower({self.c}) IN ('true', '1')")

    def datetime(self) -> Settled:
        self.refuse(_is_moment(self.c), "datetime")
        return Settled("datetime", f"make_timestamp(epoch_us(TRY_CAST({self.c} AS TIMESTAMPTZ)))")

    def first_unlike(self, test: str) -> tuple[int, Any] | None:
        query = f"SELECT rowid, {self.c} FROM raw WHERE {self.c} IS NOT NULL AND NOT coalesce({test}, false) LIMIT 1"
        found: list[tuple[int, Any]] = self.connection.execute(query).fetchall()
        return found[0] if found else None

    def refuse(self, test: str, type: ColumnType) -> None:
        """Raises UnreadableTable for the first value that fails the test."""
        found = self.first_unlike(test)
        if found is not None:
            row, value = found
            message = f"{self.where(row)}: {_shown(value)} is not {_TYPE_NOUNS[type]}"
            raise UnreadableTable(message, line=self.table.line_of(row), column=self.name)

    def warn_of_mixture(self, counts: _Texts) -> None:
        found = self.first_unlike(_is_number(self.c))
        if found is not None:
            row, value = found
            others = counts.present - counts.numbers
            said = (
                f"{others} of {counts.present} values are not numbers (the first is {_shown(value)}, {self.where(row)})"
            )
            self.warn("mixed_numbers", f"{said}; if they stand for no value, name them in `missing`")

    def warn(self, code: str, message: str) -> None:
        self.warnings.append(warning(self.name, code, message))

    def where(self, row: int) -> str:
        line = self.table.line_of(row)
        return f"line {line}" if line is not None else f"row {row + 1}"


def _shown(value: Any) -> str:
    shown = str(value)
    return repr(shown if len(shown) <= 50 else shown[:50] + "…")
