# ruff: noqa: S608  the SQL is made of our own column numbers and quoted paths
"""The figures of each column, as the API shows them, from the stored table: the same file gives the same figures."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from store.tabular import files
from store.tabular.declarations import ColumnType
from store.tabular.inference import Settled
from store.tabular.reading import rfc3339

_CELLS_AT_ONCE = 4_000_000
_CATEGORIES = 100
_FEW = 1_000
# What is listed of a column's categories as JSON: a dataset is read and shown with all of its columns' lists.
_LISTED_BYTES = 16 << 10
_LISTED_BYTES_OF_ALL = 2 << 20
_LEAST_LISTED_BYTES = 200  # a boolean column's two are always listed
_ENTRY_BYTES = 30  # of a category without its value


def profile(
    connection: duckdb.DuckDBPyConnection, stored: Path, names: Sequence[str], columns: Sequence[Settled], rows: int
) -> list[dict[str, Any]]:
    """Return an object for each column: name, type, missing, distinct, and what there is of its type.

    Of numbers and times min and max, of numbers mean, std and integer too; of categories the commonest, and text_bytes.
    """
    figures: dict[int, dict[str, Any]] = {}
    at_once = max(1, min(200, _CELLS_AT_ONCE // rows))
    numbers = [place for place, column in enumerate(columns) if column.type in ("numeric", "datetime")]
    others = [place for place, column in enumerate(columns) if column.type not in ("numeric", "datetime")]
    file = files.parquet(stored)
    for start in range(0, len(numbers), at_once):
        batch = numbers[start : start + at_once]
        chosen = ", ".join(f"epoch_us(c{n}) AS c{n}" if columns[n].type == "datetime" else f"c{n}" for n in batch)
        arrays = connection.execute(f"SELECT {chosen} FROM {file}").fetchnumpy()
        for place in batch:
            figures[place] = _of_numbers(columns[place], arrays.pop(f"c{place}"))
    few = [place for place in others if columns[place].type == "boolean" or columns[place].distinct <= _FEW]
    for start in range(0, len(few), at_once):
        batch = few[start : start + at_once]
        chosen = ", ".join(f"histogram(c{place})" for place in batch)
        (histograms,) = connection.execute(f"SELECT {chosen} FROM {file}").fetchall()
        for place, histogram in zip(batch, histograms, strict=True):
            figures[place] = _of_histogram(histogram or {}, columns[place].type, rows)
    for place in set(others) - set(few):
        figures[place] = _of_many(connection, file, f"c{place}", columns[place], rows)
    most = max(_LEAST_LISTED_BYTES, min(_LISTED_BYTES, _LISTED_BYTES_OF_ALL // max(1, len(others))))
    for place in others:
        cut_categories(figures[place], most)
    return [{"name": name, "type": columns[n].type, **figures[n]} for n, name in enumerate(names)]


def cut_categories(figures: dict[str, Any], most: int) -> None:
    """Keep the commonest categories that take at most so many bytes, and say whether there are others."""
    if "categories" not in figures:
        return
    listed = figures["categories"]
    taken, count = 0, 0
    for each in listed:
        taken += _ENTRY_BYTES + len(str(each["value"]).encode())
        if taken > most:
            break
        count += 1
    figures |= {"categories": listed[:count], "categories_cut": count < figures["distinct"]}


def _of_numbers(column: Settled, values: NDArray[Any]) -> dict[str, Any]:
    present = np.sort(values.compressed() if isinstance(values, np.ma.MaskedArray) else values)
    missing = len(values) - len(present)
    if not len(present):
        return {"missing": missing, "distinct": 0}
    distinct = 1 + int(np.count_nonzero(present[1:] != present[:-1]))
    lowest, highest = present[0].item(), present[-1].item()
    counted = {"missing": missing, "distinct": distinct}
    if column.type == "datetime":
        return {**counted, "min": rfc3339(lowest), "max": rfc3339(highest)}
    return {**counted, "min": lowest, "max": highest, **_moments(present), "integer": column.integral}


def _moments(values: NDArray[Any]) -> dict[str, float]:
    """Mean and sample standard deviation of sorted values; that of one value is 0."""
    largest = max(abs(values[0].item()), abs(values[-1].item()))
    scale = float(largest) if largest > 1e100 else 1.0  # the square of 1e200 is no double
    scaled = values / scale
    std = float(scaled.std(ddof=1)) * scale if len(values) > 1 else 0.0
    return {"mean": float(scaled.mean()) * scale, "std": min(std, sys.float_info.max)}


def _of_histogram(histogram: dict[Any, int], type: ColumnType, rows: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"missing": rows - sum(histogram.values()), "distinct": len(histogram)}
    if type != "text":
        commonest = sorted(histogram.items(), key=lambda entry: (-entry[1], entry[0]))[:_CATEGORIES]
        figures["categories"] = [{"value": value, "count": count} for value, count in commonest]
    if type == "categorical":
        figures["text_bytes"] = sum(len(value.encode()) for value in histogram)
    return figures


def _of_many(connection: duckdb.DuckDBPyConnection, file: str, c: str, column: Settled, rows: int) -> dict[str, Any]:
    """The same of a column with too many different strings to hand them all to Python."""
    (present,) = connection.execute(f"SELECT count({c}) FROM {file}").fetchall()[0]
    figures: dict[str, Any] = {"missing": rows - present, "distinct": column.distinct}
    if column.type != "text":
        lengths = f"SELECT sum(strlen({c})) FROM (SELECT DISTINCT {c} FROM {file})"
        figures["text_bytes"] = int(connection.execute(lengths).fetchall()[0][0])
        commonest = (
            f"SELECT {c}, count(*) AS n FROM {file} WHERE {c} IS NOT NULL"
            f" GROUP BY {c} ORDER BY n DESC, {c} LIMIT {_CATEGORIES}"
        )
        figures["categories"] = [{"value": value, "count": n} for value, n in connection.execute(commonest).fetchall()]
    return figures
