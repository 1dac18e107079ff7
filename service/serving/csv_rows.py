"""Rows as CSV: a header and its rows read as the import of a dataset reads them, and answers written."""

import codecs
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
from service.serving.slices import check_cells, moved
from service.serving.tables import MISSING, MOST_ERRORS, Input, check_names, refuse, table_of, texts
from store.tabular.answers import FORMULA
from store.tabular.csv_dialect import DELIMITERS, is_number
from store.tabular.naming import settle_names

LONGEST_LINE = 2_000_000  # characters, as in a dataset's file
MOST_COLUMNS = 10_000
_MOST_CELLS = 2 * MOST_COLUMNS  # of a record
_SLICE = 1 << 20  # bytes looked at in one go
_EMPTY = '""'  # the one cell of a row, which would else be a blank line
_QUOTED = re.compile('[,"\n\r]')
_NUMERALS = re.compile(r"[0-9eE+.\-\s]*", re.ASCII)  # of such characters float() takes what the import takes


def slices(body: bytes, inputs: Sequence[Input], size: int, most: int) -> Iterator[Table]:
    """At most `size` rows at a time.

    Raises Malformed for what is no CSV, and Invalid for unknown columns, wrong values and over `most` rows.
    """
    if _contains(body, b"\0"):
        raise Malformed("The body is no text: it holds a zero byte.")
    delimiter = _delimiter(body, {each["name"] for each in inputs})
    records = _records(body, delimiter)
    header = next(records, None)
    if header is None:
        raise Malformed("The body is empty; it must be CSV with a header.")
    if len(header) > _MOST_CELLS:
        raise Invalid({"columns": f"at most the {len(inputs)} features"})
    names, _ = settle_names(header)
    check_names(names, inputs, "columns")
    kinds = {each["name"]: each["type"] for each in inputs}
    first = 0
    while rows := list(islice(_as_wide(records, len(names), first), size)):
        if first + len(rows) > most:
            raise Invalid({"instances": f"1 to {most} rows below the header"})
        check_cells(first + len(rows), len(inputs))
        errors: Errors = {}
        columns: dict[str, Column] = {}
        for name, cells in zip(names, zip(*rows, strict=True), strict=True):
            columns[name] = _numbers(name, cells, errors) if kinds[name] == "numeric" else texts(cells)
        try:
            table = table_of(columns, inputs, len(rows), errors)
        except Invalid as error:
            raise moved(error, first) from None
        yield table
        first += len(rows)
    if not first:
        raise Invalid({"instances": f"1 to {most} rows below the header"})


def _as_wide(records: Iterator[list[str]], width: int, first: int) -> Iterator[list[str]]:
    """These records. Raises Invalid for one that is not so wide, and the first of those that follow."""
    for index, record in enumerate(records, first):
        if len(record) != width:
            rest = enumerate(islice(records, MOST_ERRORS), index + 1)
            wrong = [index, *(place for place, each in rest if len(each) != width)]
            message = f"{width} values, as the header has"
            raise Invalid({f"instances.{place}": message for place in wrong})
        yield record


def _contains(body: bytes, what: bytes) -> bool:
    """As `in`, that lets other threads go on."""
    return any(
        body.find(what, start, start + _SLICE + len(what) - 1) >= 0 for start in range(0, max(len(body), 1), _SLICE)
    )


def _delimiter(body: bytes, features: set[str]) -> str:
    """The one under which the header names the most features; the first on a tie."""

    def named(delimiter: str) -> int:
        try:
            header = next(_records(body, delimiter), [])
        except Malformed:  # under this one
            return 0
        return len(features.intersection(cell.strip() for cell in header))

    if named(",") == len(features):
        return ","
    return max(DELIMITERS, key=named)


def _records(body: bytes, delimiter: str) -> Iterator[list[str]]:
    """Its records but for empty lines. `"a", "b"` is read without the spaces between.

    Below a header of a single column an empty line between others is a missing value, as in a dataset's file.
    """
    is_first = True  # whether the next line begins a record

    def lines() -> Iterator[str]:
        nonlocal is_first
        for line in _lines(body):
            shown = _without_excess(line, delimiter) if is_first else line
            is_first = False
            yield shown

    spaced = _contains(body, f'{delimiter} "'.encode())
    records = csv.reader(lines(), delimiter=delimiter, skipinitialspace=spaced, strict=True)
    try:
        yielded = blank = 0
        is_single = False
        for record in records:
            is_first = True
            if record:
                for _ in range(blank):
                    yield [""]
                blank = 0
                is_single = is_single if yielded else len(record) == 1
                yielded += 1
                yield record
            elif is_single and yielded > 1:
                blank += 1
    except csv.Error as error:
        raise Malformed(f"The body is not CSV: {error} at line {records.line_num}.", line=records.line_num) from None


def _without_excess(line: str, delimiter: str) -> str:
    """Return a record of a single line with one cell more than is ever allowed, if it has still more.

    Both are refused alike, and so many small strings take longer the more there are.
    """
    if line.count(delimiter) <= _MOST_CELLS or '"' in line:
        return line
    return delimiter.join(line.split(delimiter, _MOST_CELLS + 1)[:-1])


def _lines(body: bytes) -> Iterator[str]:
    """Raises Malformed for a line that is not UTF-8, or too long."""
    lines = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", newline="")
    number = 0
    try:
        while line := lines.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise Malformed(f"Line {number} is longer than {LONGEST_LINE} characters.", line=number)
            yield line
    except UnicodeDecodeError:
        raise Malformed(f"The body is not UTF-8: byte {_first_not_utf8(body)}.") from None


def _first_not_utf8(body: bytes) -> int:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(body), _SLICE):
        left = len(decoder.getstate()[0])
        try:
            decoder.decode(body[start : start + _SLICE], final=start + _SLICE >= len(body))
        except UnicodeDecodeError as error:
            return start - left + error.start
    return 0


def _numbers(name: str, cells: Sequence[str], errors: Errors) -> NumericColumn:
    """NaN where missing; what is no number is refused."""
    if _NUMERALS.fullmatch("\n".join(cell for cell in cells if cell not in MISSING)):
        with suppress(ValueError):
            numbers = [math.nan if cell in MISSING else float(cell) for cell in cells]
            return NumericColumn(torch.tensor(numbers, dtype=torch.float64))
    wrong = (row for row, cell in enumerate(cells) if cell not in MISSING and not is_number(cell))
    refuse(errors, name, wrong, "numeric")
    return NumericColumn(torch.full((len(cells),), torch.nan, dtype=torch.float64))


def written(columns: Mapping[str, Column], *, header: bool = True) -> bytes:
    """Answers as CSV: numbers as JSON has them, true and false, nothing where a number is missing.

    A text that a spreadsheet would run as a formula has an apostrophe before it.
    """
    cells = [_cells(column) for column in columns.values()]
    lines = [*([",".join(map(_cell, columns))] if header else []), *map(",".join, zip(*cells, strict=True))]
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
