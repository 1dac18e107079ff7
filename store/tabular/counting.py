# ruff: noqa: S608  the SQL is made of our own column numbers
"""What there is in each column of `raw`, counted over all rows, many columns at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import duckdb

from store.tabular import times
from store.tabular.declarations import EXACT

_AT_ONCE = 20  # what DuckDB takes to plan a query grows with the square of its columns
_FEW = 1_000


def is_number(c: str) -> str:
    return f"TRY_CAST({c} AS DOUBLE) IS NOT NULL AND NOT contains({c}, '_')"  # DuckDB would take 1_000 for a thousand


def is_finite(c: str) -> str:
    return f"{is_number(c)} AND isfinite(TRY_CAST({c} AS DOUBLE))"


def is_moment(c: str) -> str:
    return f"{times.moment(c)} IS NOT NULL"


@dataclass(frozen=True)
class Texts:
    """How many values of a string column are there, are numbers, finite ones, booleans, moments, have outer spaces.

    `distinct` is counted where the column is neither of numbers nor of booleans; `whole`: all numbers are whole, and
    fit into 64 bits. `past_exact`: how many are written as whole numbers, and are past 2^53.
    """

    present: int
    numbers: int
    booleans: int
    spaced: int
    dashed: int
    about: int
    distinct: int = 0
    finite: int = 0
    whole: bool = False
    past_exact: int = 0
    moments: int = 0


@dataclass(frozen=True)
class Numbers:
    """A number column: its values, their sum (which tells of any not finite), and the largest size if all are whole."""

    present: int
    total: float | None
    whole_to: float | None


def count_texts(connection: duckdb.DuckDBPyConnection, places: Sequence[int]) -> dict[int, Texts]:
    found = {place: Texts(*counts) for place, counts in _counts(connection, places, _first_look).items()}
    for place, (finite, whole, past_exact) in _counts(
        connection, [n for n, each in found.items() if each.present and each.numbers == each.present], _as_numbers
    ).items():
        found[place] = replace(found[place], finite=finite, whole=whole, past_exact=past_exact)
    # The pattern of a date is slow to try; its fifth character tells most others at once.
    dated = [n for n, each in found.items() if each.present and 2 * each.dashed >= each.present]
    for place, (moments,) in _counts(connection, dated, lambda c: [f"count(*) FILTER ({is_moment(c)})"]).items():
        found[place] = replace(found[place], moments=moments)
    strings = [n for n, each in found.items() if each.present not in (each.finite, each.booleans)]
    few = [n for n in strings if found[n].about <= _FEW]
    many = [n for n in strings if found[n].about > _FEW]
    # A distinct count starts a large table however few the values are; a histogram starts small.
    distinct = _counts(connection, few, lambda c: [f"cardinality(histogram({c}))"])
    distinct |= _counts(connection, many, lambda c: [f"count(DISTINCT {c})"], at_once=1)
    return {n: replace(each, distinct=distinct[n][0]) if n in distinct else each for n, each in found.items()}


def count_numbers(connection: duckdb.DuckDBPyConnection, places: Sequence[int]) -> dict[int, Numbers]:
    found = _counts(connection, places, _as_doubles, at_once=100)
    whole = [place for place, (_, _, all_whole) in found.items() if all_whole]
    sizes = _counts(connection, whole, lambda c: [f"max(abs({c}))"], at_once=100)
    return {n: Numbers(present, total, sizes[n][0] if n in sizes else None) for n, (present, total, _) in found.items()}


def count_present(connection: duckdb.DuckDBPyConnection, places: Sequence[int]) -> dict[int, int]:
    found = _counts(connection, places, lambda c: [f"count({c})"], at_once=100)
    return {place: count for place, (count,) in found.items()}


def _first_look(c: str) -> list[str]:
    return [
        f"count({c})",
        f"count(*) FILTER ({is_number(c)})",
        f"count(*) FILTER (lower({c}) IN ('true', 'false'))",
        f"count(*) FILTER ({c} <> trim({c}))",
        f"count(*) FILTER ({c}[5] IN ('-', '/'))",
        f"approx_count_distinct({c})",
    ]


def _as_numbers(c: str) -> list[str]:
    # A cast to a whole number rounds: it must change nothing.
    number, whole = f"TRY_CAST({c} AS DOUBLE)", f"TRY_CAST({c} AS BIGINT)"
    unchanged = f"bool_and({c} IS NULL OR coalesce(CAST({whole} AS DOUBLE) = {number}, false))"
    # Of 2^53 itself nothing is lost, and what is past 128 bits is past it.
    is_past = f"abs({number}) >= {EXACT} AND coalesce(abs(TRY_CAST({c} AS HUGEINT)) > {EXACT}, true)"
    past_exact = f"{is_past} AND regexp_full_match({c}, '\\s*[+-]?[0-9]+\\s*')"
    return [f"count(*) FILTER (isfinite({number}))", unchanged, f"count(*) FILTER ({past_exact})"]


def _as_doubles(c: str) -> list[str]:
    return [f"count({c})", f"sum({c})", f"coalesce(bool_and({c} = trunc({c})), false)"]


def _counts(
    connection: duckdb.DuckDBPyConnection,
    places: Sequence[int],
    expressions: Callable[[str], list[str]],
    at_once: int = _AT_ONCE,
) -> dict[int, tuple[Any, ...]]:
    """The expressions' values for each of these columns, some columns at a time."""
    found: dict[int, tuple[Any, ...]] = {}
    for start in range(0, len(places), at_once):
        batch = places[start : start + at_once]
        chosen = [expressions(f"c{place}") for place in batch]
        (row,) = connection.execute(f"SELECT {', '.join(chain.from_iterable(chosen))} FROM raw").fetchall()
        width = len(chosen[0])
        for offset, place in enumerate(batch):
            found[place] = row[offset * width : (offset + 1) * width]
    return found
