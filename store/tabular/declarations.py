"""What goes into an import and what comes out, and the table between: read, named, its types not yet settled."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

EXACT = 2**53  # up to which a double holds every whole number
Format = Literal["csv", "parquet", "ndjson"]
ColumnType = Literal["numeric", "categorical", "boolean", "datetime", "text"]
COLUMN_TYPES: tuple[ColumnType, ...] = ("numeric", "categorical", "boolean", "datetime", "text")
DEFAULT_MISSING = ("", "NA", "N/A", "NaN", "null")


@dataclass(frozen=True)
class ImportOptions:
    """How a caller wants a file read.

    `types` forces a column's type. `missing` are the texts that stand for no value, case as given; an empty cell always
    does. `header` and `delimiter` (one character) are for CSV, None meaning: found from the first lines.
    """

    types: Mapping[str, ColumnType] = field(default_factory=dict)
    missing: tuple[str, ...] = DEFAULT_MISSING
    header: bool | None = None
    delimiter: str | None = None


@dataclass(frozen=True)
class ImportedTable:
    """A stored table's rows, and its columns and warnings as the API shows them."""

    rows: int
    columns: list[dict[str, Any]]
    warnings: list[dict[str, str]]


@dataclass(frozen=True)
class StoredColumn:
    """One column as an array of `[rows]`.

    numeric: float64, NaN for missing. datetime: float64 microseconds since 1970 UTC (exact to the year 2255), NaN for
    missing. boolean, categorical, text: int32 codes into `categories`, -1 for missing; categories stand in the order of
    their code points, and those of a boolean are (False, True). `integral`: every number is a whole one.
    """

    type: ColumnType
    values: NDArray[np.float64] | NDArray[np.int32]
    categories: tuple[str, ...] | tuple[bool, ...] | None = None
    integral: bool = False


# What a raw column may turn out to be. A CSV cell is open: its text says what it is. The other formats say it
# themselves, and there a string of digits stays a string.
Kind = Literal["open", "string", "number", "boolean", "datetime"]


@dataclass(frozen=True)
class RawTable:
    """The table `raw` in DuckDB, with columns `c0`, `c1`, … of the caller's names.

    `line_of` finds a row's (from 0) line in the file (from 1), where lines mean something.
    """

    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    line_of: Callable[[int], int | None]
    warnings: list[dict[str, str]]


def warning(column: str, code: str, message: str) -> dict[str, str]:
    return {"column": column, "code": code, "message": message}
