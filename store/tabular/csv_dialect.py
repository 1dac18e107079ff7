"""How a CSV file is written: its delimiter, whether it has a header, which columns hold numbers; by its first lines.

The delimiter is chosen here and not by DuckDB's sniffer, which would rather take a ragged file for one column of text
than refuse it.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from store.errors import UnreadableTable
from store.tabular.declarations import ImportOptions

DELIMITERS = (",", ";", "\t", "|")
_HEAD_BYTES = 2 << 20
_SAMPLED_RECORDS = 200
_SAMPLED_CELLS = 50_000
# Every repetition is possessive: what it has taken it does not give back, so that a cell costs its length and no more.
_NUMBER = re.compile(r"\s*+[+-]?+(?:\d++\.?+\d*+|\.\d++)(?:[eE][+-]?+\d++)?+\s*+", re.ASCII)
_SAID = re.compile(r'"?[sS][eE][pP]=[^\r\n]{1,2}"?[\r\n]')  # as some spreadsheets begin a file
_YEAR = re.compile(r"(?:19|20)\d\d", re.ASCII)
_DIGITS = re.compile(r"\d++", re.ASCII)
_BEYOND_DOUBLE = re.compile(r"\D*+\d{16,}+\D*+")  # a whole number that a double would round


@dataclass(frozen=True)
class Dialect:
    """`cells` are those of the first record; `numbers` marks the columns that look like numbers.

    `spaced`: written `"a", "b"`, where the space is no part of the value, and the quote is no part of it either.
    """

    delimiter: str
    spaced: bool
    header: bool
    cells: tuple[str, ...]
    numbers: tuple[bool, ...]
    starts_blank: bool

    @property
    def width(self) -> int:
        return len(self.cells)


def find_dialect(path: Path, options: ImportOptions) -> Dialect:
    """Reads the first 2 MiB at most. Raises UnreadableTable for what is no text, or holds nothing."""
    head = _head(path)
    if said := _SAID.match(head):
        message = (
            f"line 1 says {said[0].strip()!r}, which is no row: leave it out, and say the delimiter in `delimiter`"
        )
        raise UnreadableTable(message, line=1)
    delimiter = options.delimiter or _delimiter(head)
    spaced = f'{delimiter} "' in head
    records = _records(head, delimiter, spaced)
    first = next(records, None)
    if first is None:
        raise UnreadableTable("the file is empty: there is no column in it")
    rest = list(islice(records, min(_SAMPLED_RECORDS, 5 + _SAMPLED_CELLS // len(first))))
    missing = {"", *options.missing}
    header = _looks_like_header(first, rest, missing) if options.header is None else options.header
    below = rest if header else [first, *rest]
    columns = [_column(below, place) for place in range(len(first))]
    numbers = tuple(_all_numbers(cells, missing) and not _are_codes(cells, missing) for cells in columns)
    return Dialect(delimiter, spaced, header, tuple(first), numbers, starts_blank=head[:1] in ("\n", "\r"))


def _head(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_HEAD_BYTES)
    if not content:
        raise UnreadableTable("the file is empty")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UnreadableTable("the file is UTF-16; it must be UTF-8", line=1)
    if b"\0" in content:
        raise UnreadableTable("this is no text: it holds a zero byte", line=line_at(content, content.index(b"\0")))
    try:
        head = codecs.getincrementaldecoder("utf-8-sig")().decode(content, final=len(content) < _HEAD_BYTES)
    except UnicodeDecodeError as error:
        raise not_utf8(line_at(content, error.start)) from None
    return head


def line_at(content: bytes, position: int) -> int:
    return len(re.findall(rb"\r\n|\n|\r", content[:position])) + 1


def not_utf8(line: int) -> UnreadableTable:
    return UnreadableTable(f"line {line} is not UTF-8", line=line)


def _records(head: str, delimiter: str, spaced: bool) -> Iterator[list[str]]:
    """The records of the head, up to where it is cut or broken. The strict reading comes later."""
    try:
        text = io.StringIO(head, newline="")
        for record in csv.reader(text, delimiter=delimiter, skipinitialspace=spaced, strict=True):
            if record:
                yield record
    except csv.Error:
        return


def _delimiter(head: str) -> str:
    """The candidate under which most of the first records are as wide as the first one, the wider on a tie."""

    def agreement(delimiter: str) -> tuple[int, int]:
        widths = [len(record) for record in islice(_records(head, delimiter, f'{delimiter} "' in head), 50)]
        if not widths or widths[0] == 1:
            return (0, 0)
        return (widths.count(widths[0]), widths[0])

    return max(DELIMITERS, key=agreement)  # the first one on a tie, and for a file of one column


def _looks_like_header(first: Sequence[str], rest: Sequence[Sequence[str]], missing: set[str]) -> bool:
    """Tell whether the first line names the columns.

    A text above a column of numbers makes a header (`id,2019,2020`), and so do years above other numbers, beside texts
    that do not come again (`city,2020`). Else a number in the first line makes none.
    """
    numbered = [is_number(cell) for cell in first]
    for place, cell in enumerate(first):
        if cell not in missing and not numbered[place] and _all_numbers(_column(rest, place), missing):
            return True
    return not any(numbered) or _names_years(first, rest, missing)


def _names_years(first: Sequence[str], rest: Sequence[Sequence[str]], missing: set[str]) -> bool:
    names_something = False
    for place, cell in enumerate(first):
        below = _column(rest, place)
        if is_number(cell):
            if not _is_year(cell) or not _all_numbers(below, missing) or any(map(_is_year, below)):
                return False
        elif not cell.strip() or cell in below:
            return False
        else:
            names_something = True
    return names_something


def _is_year(cell: str) -> bool:
    return _YEAR.fullmatch(cell.strip()) is not None


def _are_codes(cells: Sequence[str], missing: set[str]) -> bool:
    """Whether all are of digits, equally many, and begin with a zero, as postal codes do that are no numbers."""
    present = [cell.strip() for cell in cells if cell not in missing]
    return len({len(cell) for cell in present}) == 1 and all(_is_code(cell) for cell in present)


def _is_code(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == "0" and _DIGITS.fullmatch(cell) is not None


def _column(records: Sequence[Sequence[str]], place: int) -> list[str]:
    return [record[place] for record in records if place < len(record)]


def _all_numbers(cells: Sequence[str], missing: set[str]) -> bool:
    present = [cell for cell in cells if cell not in missing]
    return bool(present) and all(is_number(cell) and not _BEYOND_DOUBLE.fullmatch(cell) for cell in present)


def is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None
