# ruff: noqa: S608  the SQL is made of our own column numbers
"""The type of each column, from all its values: what it is, how it is stored, and what is odd about it.

A column is numeric if every value is a number (and then each must be finite), boolean if every one is true or false in
any case, datetime if every one is a date or a time by ISO 8601. Other strings are categorical; but with more than 100
different ones, and more than half as many as there are rows, they are text.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from store.errors import UnreadableTable
from store.tabular import times
from store.tabular.counting import (
    Numbers,
    Texts,
    count_numbers,
    count_present,
    count_texts,
    is_finite,
    is_moment,
    is_number,
)
from store.tabular.declarations import EXACT, ColumnType, RawTable, warning

_TYPE_NOUNS = {"numeric": "a finite number", "boolean": "true or false", "datetime": "a date or a time by ISO 8601"}
_WRITTEN_NUMBERS = {
    r"[-+]?[0-9]+,[0-9]+|[-+]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+": "a decimal comma",
    r"[-+]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?": "commas between thousands",
}
_OTHER_TYPES: dict[str, ColumnType] = {"BIGINT": "numeric", "BOOLEAN": "boolean", "TIMESTAMP": "datetime"}


@dataclass(frozen=True)
class Settled:
    """A column's type and the SQL expression over `raw` that stores it; `distinct` where it was counted."""

    type: ColumnType
    expression: str
    integral: bool = False
    distinct: int = 0
    is_rounded: bool = False  # it holds whole numbers that a double would round


def settle(
    connection: duckdb.DuckDBPyConnection, table: RawTable, forced: Mapping[str, ColumnType], rows: int
) -> tuple[list[Settled], list[dict[str, str]]]:
    """Raises UnreadableTable for a value that is not what its column must be, with its line where there are lines."""
    raw = [row[1] for row in connection.execute("DESCRIBE raw").fetchall()]
    texts = count_texts(connection, [place for place, type in enumerate(raw) if type == "VARCHAR"])
    numbers = count_numbers(connection, [place for place, type in enumerate(raw) if type == "DOUBLE"])
    present = count_present(connection, [place for place in range(len(raw)) if place not in texts | numbers])
    warnings: list[dict[str, str]] = []
    settled: list[Settled] = []
    for place, type in enumerate(raw):
        column = _Column(connection, table, place, type, rows, warnings)
        if place in texts:
            settled.append(column.of_texts(texts[place], forced.get(table.names[place])))
        elif place in numbers:
            settled.append(column.of_numbers(numbers[place]))
        else:
            if not present[place]:
                column.warn("all_missing", "the column holds no value")
            settled.append(Settled(_OTHER_TYPES[type], column.c, integral=type == "BIGINT"))
    return settled, warnings


@dataclass(frozen=True)
class _Column:
    connection: duckdb.DuckDBPyConnection
    table: RawTable
    place: int
    raw: str
    rows: int
    warnings: list[dict[str, str]]

    @property
    def c(self) -> str:
        return f"c{self.place}"

    @property
    def name(self) -> str:
        return self.table.names[self.place]

    @property
    def read_from_text(self) -> bool:
        """Whether DuckDB made numbers of the cells, so that how they were written is lost."""
        return self.table.kinds[self.place] == "open" and self.raw == "DOUBLE"

    def of_numbers(self, counts: Numbers) -> Settled:
        if counts.total is not None and not math.isfinite(counts.total):  # or only the sum is too large
            self.refuse_others(f"isfinite({self.c})", "numeric")
        if not counts.present:
            self.warn("all_missing", "the column holds no value")
        whole = counts.whole_to is not None and counts.whole_to < EXACT
        return Settled("numeric", f"CAST({self.c} AS BIGINT)" if whole else self.c, integral=whole)

    def of_texts(self, counts: Texts, forced: ColumnType | None) -> Settled:
        kind = self.table.kinds[self.place]
        if not counts.present:
            self.warn("all_missing", "the column holds no value")
        if forced in ("categorical", "text"):
            return Settled(forced, self.c, distinct=counts.distinct or self.count_distinct())
        if forced == "numeric" or kind == "number":
            return self.numeric(counts)
        if forced == "boolean" or kind == "boolean":
            return self.boolean(counts)
        if forced == "datetime":
            return self.datetime(counts)
        if counts.present and kind == "open":
            if counts.numbers == counts.present and counts.finite:
                return self.codes(counts) if self.holds_codes() else self.numeric(counts)
            if counts.booleans == counts.present:
                return self.boolean(counts)
        if counts.present and counts.moments == counts.present:
            return self.datetime(counts)
        return self.strings(counts)

    def holds_codes(self) -> bool:
        """Whether every value is of digits, equally many, and begins with a zero."""
        of_digits = (
            f"bool_and(regexp_full_match({self.c}, '0[0-9]+')) AND min(strlen({self.c})) = max(strlen({self.c}))"
        )
        ((found,),) = self.connection.execute(f"SELECT {of_digits} FROM raw WHERE {self.c} IS NOT NULL").fetchall()
        return bool(found)

    def codes(self, counts: Texts) -> Settled:
        """As texts, so that postal codes keep their zeros."""
        message = "every value begins with a zero and is as long as the others: they are kept as codes, not as numbers"
        self.warn("leading_zeros", f"{message}; to have numbers, upload with `types` {{{self.name!r}: 'numeric'}}")
        return self.strings(replace(counts, numbers=0))

    def numeric(self, counts: Texts) -> Settled:
        if counts.finite < counts.present:
            self.refuse_others(is_finite(self.c), "numeric")
        to = "BIGINT" if counts.whole else "DOUBLE"
        return Settled(
            "numeric",
            f"TRY_CAST({self.c} AS {to})",
            integral=counts.whole,
            is_rounded=bool(counts.past_exact) and not counts.whole,
        )

    def boolean(self, counts: Texts) -> Settled:
        if counts.booleans < counts.present:  # 0 and 1 are booleans only where the caller says so
            self.refuse_others(f"lower({self.c}) IN ('true', 'false', '1', '0')", "boolean")
        return Settled("boolean", f"lower({self.c}) IN ('true', '1')")

    def datetime(self, counts: Texts) -> Settled:
        if counts.moments < counts.present:
            self.refuse_others(is_moment(self.c), "datetime")
        return Settled("datetime", f"make_timestamp(epoch_us({times.moment(self.c)}))")

    def strings(self, counts: Texts) -> Settled:
        if counts.present and self.table.kinds[self.place] == "open" and counts.numbers * 2 >= counts.present:
            self.warn_of_mixture("mixed_numbers", counts.present - counts.numbers, counts, is_number(self.c), "numbers")
        elif counts.present and counts.moments * 2 >= counts.present:
            self.warn_of_mixture("mixed_times", counts.present - counts.moments, counts, is_moment(self.c), "times")
        elif counts.present and self.table.kinds[self.place] == "open" and counts.booleans * 2 >= counts.present:
            words = f"lower({self.c}) IN ('true', 'false')"
            others = counts.present - counts.booleans
            self.warn_of_mixture("mixed_booleans", others, counts, words, "true or false")
        self.warn_of_commas()
        self.warn_of_accents()
        if counts.spaced:
            self.warn("surrounding_spaces", f"{counts.spaced} values begin or end with a space, which is kept")
        # Open texts that are all of one kind but not of it (all `inf`) were not counted with the strings.
        distinct = counts.distinct or self.count_distinct()
        many = distinct > 100 and distinct * 2 > self.rows
        return Settled("text" if many else "categorical", self.c, distinct=distinct)

    def count_distinct(self) -> int:
        ((distinct,),) = self.connection.execute(f"SELECT count(DISTINCT {self.c}) FROM raw").fetchall()
        return int(distinct)

    def first_other(self, test: str) -> tuple[int, str] | None:
        """The first row whose value fails the test, and the value as a caller would know it."""
        query = f"SELECT rowid, {self.c} FROM raw WHERE {self.c} IS NOT NULL AND NOT coalesce({test}, false) LIMIT 1"
        for row, value in self.connection.execute(query).fetchall():
            return row, _shown(value)
        return None

    def refuse_others(self, test: str, type: ColumnType) -> None:
        found = self.first_other(test)
        if found is not None:
            row, value = found
            if value.strip("'-") == "inf" and self.read_from_text:  # of 1e400 no more is left
                value = "an infinite value, or one that is too large,"
            message = f"{self.where(row)}: {value} is not {_TYPE_NOUNS[type]}"
            raise UnreadableTable(message, line=self.table.line_of(row), column=self.table.names[self.place])

    def warn_of_mixture(self, code: str, others: int, counts: Texts, test: str, noun: str) -> None:
        """Warn that a column is no longer of a kind because of some values, most being of it."""
        found = self.first_other(test)
        if found is not None:
            row, value = found
            message = f"{others} of {counts.present} values are not {noun} (the first is {value}, {self.where(row)})"
            self.warn(code, f"{message}; if they stand for no value, name them in `missing`")

    def warn_of_commas(self) -> None:
        """Warn that all values would be numbers, were they written with a point alone."""
        if self.table.kinds[self.place] != "open":
            return
        first = self.connection.execute(f"SELECT {self.c} FROM raw WHERE {self.c} IS NOT NULL LIMIT 1").fetchall()
        for pattern, noun in _WRITTEN_NUMBERS.items():
            if not first or not re.fullmatch(pattern, first[0][0], re.ASCII):
                continue
            all_match = f"SELECT bool_and(regexp_full_match({self.c}, '{pattern}')) FROM raw"
            if self.connection.execute(all_match).fetchall()[0][0]:
                message = f"every value is a number written with {noun} (the first is {_shown(first[0][0])})"
                self.warn("written_numbers", f"{message}: they are texts here; write 1234.5 to have numbers")
                return

    def warn_of_accents(self) -> None:
        """Warn of texts that look alike and are spelled otherwise in Unicode, as composed and decomposed accents."""
        ((plain,),) = self.connection.execute(
            f"SELECT bool_and(strlen({self.c}) = length({self.c})) FROM raw"
        ).fetchall()
        if plain is not False:
            return
        alike = (
            f"SELECT min({self.c}), max({self.c}) FROM raw WHERE {self.c} IS NOT NULL"
            f" GROUP BY nfc_normalize({self.c}) HAVING count(DISTINCT {self.c}) > 1 LIMIT 1"
        )
        for one, other in self.connection.execute(alike).fetchall():
            told = f"{one!a} and {other!a}"
            self.warn(
                "unicode_spellings", f"some values look alike and are spelled otherwise ({told}): they are kept apart"
            )

    def warn(self, code: str, message: str) -> None:
        self.warnings.append(warning(self.table.names[self.place], code, message))

    def where(self, row: int) -> str:
        line = self.table.line_of(row)
        return f"line {line}" if line is not None else f"row {row + 1}"


def _shown(value: Any) -> str:
    shown = str(value)
    return repr(shown if len(shown) <= 50 else shown[:50] + "…")
