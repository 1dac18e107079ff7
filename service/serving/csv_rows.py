"""Rows as CSV: a header and its rows read as the import of a dataset reads them, and answers written."""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice

import torch

from learning.answer_columns import spelled
from learning.columns import CategoricalColumn, Column, NumericColumn, Table
from service.problems import Errors, Invalid, Malformed
from service.serving.tables import MISSING, MOST_ERRORS, Input, check_names, refuse, table_of, texts
from store.tabular.answers import FORMULA
from store.tabular.csv_dialect import DELIMITERS, is_number
from store.tabular.naming import settle_names

_EMPTY = '""'  # the one cell of a row, which would else be a blank line
_QUOTED = re.compile('[,"\n\r]')
_NUMERALS = re.compile(r"[0-9eE+.\-\s]*", re.ASCII)  # of such characters float() takes what the import takes


def table(body: bytes, inputs: Sequence[Input], most: int) -> Table:
    """Raises Malformed for what is no CSV, and Invalid for unknown columns, wrong values and over `most` rows."""
    text = _decoded(body)
    delimiter = _delimiter(text, {each["name"] for each in inputs})
    records = _records(text, delimiter)
    header = next(records, None)
    if header is None:
        raise Malformed("The body is empty; it must be CSV with a header.")
    names, _ = settle_names(header)
    check_names(names, inputs, "columns")
    rows = list(islice(records, most + 1))
    if not 1 <= len(rows) <= most:
        raise Invalid({"instances": f"1 to {most} rows below the header"})
    if set(map(len, rows)) != {len(names)}:
        wrong = [index for index, row in enumerate(rows) if len(row) != len(names)]
        message = f"{len(names)} values, as the header has"
        raise Invalid({f"instances.{index}": message for index in wrong[:MOST_ERRORS]})
    kinds = {each["name"]: each["type"] for each in inputs}
    errors: Errors = {}
    columns: dict[str, Column] = {}
    for name, cells in zip(names, zip(*rows, strict=True), strict=True):
        columns[name] = _numbers(name, cells, errors) if kinds[name] == "numeric" else texts(cells)
    return table_of(columns, inputs, len(rows), errors)


def _decoded(body: bytes) -> str:
    if b"\0" in body:
        raise Malformed("The body is no text: it holds a zero byte.")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed(f"The body is not UTF-8: byte {error.start}.") from None


def _delimiter(text: str, features: set[str]) -> str:
    """The one under which the header names the most features; the first on a tie."""

    def named(delimiter: str) -> int:
        try:
            header = next(_records(text, delimiter), [])
        except Malformed:  # under this one
            return 0
        return len(features.intersection(cell.strip() for cell in header))

    if named(",") == len(features):
        return ","
    return max(DELIMITERS, key=named)


def _records(text: str, delimiter: str) -> Iterator[list[str]]:
    """Its records but for empty lines. `"a", "b"` is read without the spaces between."""
    lines = io.StringIO(text, newline="")
    records = csv.reader(lines, delimiter=delimiter, skipinitialspace=f'{delimiter} "' in text, strict=True)
    try:
        for record in records:
            if record:
                yield record
    except csv.Error as error:
        raise Malformed(f"The body is not CSV: {error} at line {records.line_num}.", line=records.line_num) from None


def _numbers(name: str, cells: Sequence[str], errors: Errors) -> NumericColumn:
    """NaN where missing; what is no number is refused."""
    if _NUMERALS.fullmatch("\n".join(cell for cell in cells if cell not in MISSING)):
        with suppress(ValueError):
            numbers = [math.nan if cell in MISSING else float(cell) for cell in cells]
            return NumericColumn(torch.tensor(numbers, dtype=torch.float64))
    wrong = (row for row, cell in enumerate(cells) if cell not in MISSING and not is_number(cell))
    refuse(errors, name, wrong, "numeric")
    return NumericColumn(torch.full((len(cells),), torch.nan, dtype=torch.float64))


def written(columns: Mapping[str, Column]) -> bytes:
    """Answers as CSV with a header: numbers as JSON has them, true and false, nothing where a number is missing.

    A text that a spreadsheet would run as a formula has an apostrophe before it.
    """
    cells = [_cells(column) for column in columns.values()]
    lines = [",".join(map(_cell, columns)), *map(",".join, zip(*cells, strict=True))]
    return "".join(f"{line or _EMPTY}\n" for line in lines).encode()


def _cells(column: Column) -> list[str]:
    if isinstance(column, CategoricalColumn):
        words = [_cell(each) if isinstance(each, str) else spelled(each) for each in column.values]
        return [words[code] for code in column.codes.tolist()]
    return ["" if math.isnan(value) else repr(value) for value in column.values.tolist()]


def _cell(text: str) -> str:
    """The text as a cell: harmless to a spreadsheet, in quotes where it needs them.

    A lone carriage return needs them too, which Python's own writer leaves bare.
    """
    if text.startswith(FORMULA):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
