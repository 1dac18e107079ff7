"""The slow and exact way through a CSV file: record by record, each with its line, refusing the first that is wrong.

Taken where DuckDB refuses a file, to say why and where; and where it would forgive or could not tell, to write the file
again in the plainest form.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from store.errors import UnreadableTable
from store.tabular.csv_dialect import Dialect, line_at, not_utf8

_CHUNK = 1 << 20
_GROUPED_DIGITS = re.compile(rb"\d_\d")


@dataclass(frozen=True)
class Survey:
    """What a look at the bytes tells.

    DuckDB reads `plain` files as we would. `grouped`: `1_000` stands in it. `missing`: the markers that stand in it, of
    those asked for, since each one that DuckDB must look for slows it down.
    """

    plain: bool
    line_end: str
    grouped: bool
    missing: frozenset[str]


def survey(path: Path, dialect: Dialect, missing: Iterable[str]) -> Survey:
    """One pass over the bytes at a gigabyte a second. Raises UnreadableTable for zero bytes and lines over 1 MiB.

    DuckDB takes `1,2,` for a row of two, `"x" ,` for a value, and stumbles over mixed line ends; a file with any of
    them is not plain.
    """
    delimiter = dialect.delimiter.encode()
    loose_quote = _loose_quote(delimiter)
    feeds = returns = pairs = lines = 0
    hanging = loose = grouped = False
    markers = {marker: marker.encode() for marker in missing}
    found = {""}
    longest = max(map(len, markers.values()), default=0)
    carried = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if b"\0" in chunk:
                raise UnreadableTable(
                    "this is no text: it holds a zero byte", line=lines + line_at(chunk, chunk.index(b"\0"))
                )
            new_feeds, new_returns = chunk.count(b"\n"), chunk.count(b"\r")
            if not new_feeds and not new_returns and len(chunk) == _CHUNK:
                raise UnreadableTable(f"line {lines + 1} is longer than {_CHUNK} bytes", line=lines + 1)
            feeds, returns, lines = feeds + new_feeds, returns + new_returns, lines + max(new_feeds, new_returns)
            joined = carried + chunk  # what is looked for may straddle two chunks
            pairs += chunk.count(b"\r\n") + (carried.endswith(b"\r") and chunk.startswith(b"\n"))
            hanging = hanging or delimiter + b"\n" in joined or delimiter + b"\r" in joined
            loose = loose or (b'"' in chunk and loose_quote.search(joined) is not None)
            grouped = grouped or (b"_" in chunk and _GROUPED_DIGITS.search(joined) is not None)
            for marker, content in markers.items():
                # One byte is looked for ten times faster than two, and in a file of numbers tells enough.
                if marker not in found and content[:1] in joined and content in joined:
                    found.add(marker)
            carried = joined[-max(8, longest) :]
    hanging = hanging or carried.endswith(delimiter)
    mixed = returns > 0 and not (pairs == feeds == returns)
    plain = not (mixed or hanging or loose or dialect.width == 1 or dialect.starts_blank)
    return Survey(plain, r"\r\n" if returns else r"\n", grouped, frozenset(found))


def _loose_quote(delimiter: bytes) -> re.Pattern[bytes]:
    """Return a pattern of spaces between a delimiter or a line's end and a quote.

    A run of spaces is tried from its first one alone, so that a search costs the length of the text and no more.
    """
    if delimiter == b" ":
        return re.compile(rb'(?<! )(?: {2,}+"|(?<![^\r\n]) ")|" (?: |$|[\r\n])')
    escaped = re.escape(delimiter)
    return re.compile(rb'(?<![^\r\n%b]) ++"|" ++(?:$|[\r\n%b])' % (escaped, escaped))


def walk(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Each data record with the line it begins on. Raises UnreadableTable at the first that is broken or ragged."""
    line = 1
    with path.open(encoding="utf-8-sig", newline="") as file:
        records = csv.reader(file, delimiter=dialect.delimiter, skipinitialspace=dialect.spaced, strict=True)
        header_to_come = dialect.header
        try:
            blank: list[int] = []  # lines of a single column: missing values, where they stand between others
            is_between = False
            for record in records:
                if record and header_to_come:
                    header_to_come = False
                elif not record:
                    if dialect.width == 1 and is_between:
                        blank.append(line)
                else:
                    yield from ((each, [""]) for each in blank)
                    blank.clear()
                    is_between = True
                    if len(record) != dialect.width:
                        raise _ragged(record, dialect, line)
                    yield line, record
                line = records.line_num + 1
        except csv.Error as error:
            raise UnreadableTable(f"line {line}: {_in_our_words(error)}", line=line) from None
        except UnicodeDecodeError:
            raise not_utf8(_first_undecodable_line(path)) from None


def rewrite(path: Path, dialect: Dialect, missing: set[str], out: Path) -> None:
    """Any file in one form: our names for a header, empty cells for missing ones, comma, LF, quotes around all.

    Without a header a first cell that begins with a byte order mark would lose it; left to choose, the writer would not
    quote a lone carriage return.
    """
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow([f"c{place}" for place in range(dialect.width)])
        for _, record in walk(path, dialect):
            writer.writerow(["" if cell in missing else cell for cell in record])


def line_of(path: Path, dialect: Dialect, row: int) -> int | None:
    """The line on which a data row (from 0) begins."""
    for place, (line, _) in enumerate(walk(path, dialect)):
        if place == row:
            return line
    return None


def _ragged(record: list[str], dialect: Dialect, line: int) -> UnreadableTable:
    found, expected = len(record), dialect.width
    column = dialect.cells[found].strip() if found < expected and dialect.header else ""
    return UnreadableTable(
        f"line {line} has {found} values where {expected} are expected",
        line=line,
        column=column or str(min(found, expected) + 1),
    )


def _in_our_words(error: csv.Error) -> str:
    said = str(error)
    if "unexpected end of data" in said:
        return "a quoted value that begins here is never closed"
    if "expected after" in said:
        return "text follows a closing quote; a quote inside a quoted value is written twice"
    return said


def _first_undecodable_line(path: Path) -> int:
    with path.open("rb") as file:
        for line, content in enumerate(file, start=1):
            try:
                content.decode()
            except UnicodeDecodeError:
                return line
    return 1
