"""What reads a caller's text takes time in proportion to its length, whatever the text.

This is the one test that measures time, since nothing else shows a pattern that backtracks. It compares a parser with
itself: the processor's time for a million characters beside that for a sixteenth of them.
"""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from service import access, strict_json
from service.problems import Problem
from service.serving import csv_rows
from store import ids, models, pages
from store.errors import BadCursor, UnreadableTable
from store.tabular import ImportOptions, csv_dialect, csv_walk, import_table, naming, times

LARGE = 1 << 20
SMALL = LARGE >> 4
LARGEST_SLOPE = 1.1
INSTANT_SECONDS = 0.01  # for a million characters: nothing that tries again and again comes near it
TRIES = 3
REFUSALS = (Problem, UnreadableTable, BadCursor, ValueError)

SHAPES: dict[str, Callable[[int], str]] = {
    "digits and a letter": lambda n: "1" * (n - 1) + "x",
    "point and digits": lambda n: "." + "1" * (n - 2) + "x",
    "digits, point, digits": lambda n: "1" * (n // 2) + "." + "1" * (n // 2) + "x",
    "exponent": lambda n: "1e" + "1" * (n - 3) + "x",
    "spaces": lambda n: " " * n,
    "spaces and a letter": lambda n: " " * (n - 1) + "x",
    "spaces before a digit": lambda n: "x" + " " * (n - 2) + "1",
    "tabs": lambda n: "\t" * n,
    "quotes": lambda n: '"' * n,
    "quote and spaces": lambda n: '"a"' + " " * (n - 4) + "x",
    "spaces and quotes": lambda n: ' "' * (n // 2),
    "commas": lambda n: "," * n,
    "commas and spaces": lambda n: ", " * (n // 2),
    "minus signs": lambda n: "-" * n,
    "underscores": lambda n: "1_" * (n // 2),
    "colons": lambda n: "1:" * (n // 2),
    "a time and digits": lambda n: "2026-01-01T00:00:00." + "0" * (n - 21) + "x",
    "brackets": lambda n: "[" * n,
    "brackets closed": lambda n: "[]," * (n // 3),
    "braces": lambda n: '{"a":' * (n // 5),
    "backslashes": lambda n: '"' + "\\" * (n - 2) + '"',
    "letters": lambda n: "a" * n,
    "lines": lambda n: "a\n" * (n // 2),
    "carriage returns": lambda n: "a\r" * (n // 2),
    "equal names": lambda n: "a," * (n // 2),
    "combining accents": lambda n: "e" + "\u0301" * (n // 2),
}


def survey(delimiter: str) -> Callable[[str, Path], Any]:
    dialect = csv_dialect.Dialect(
        delimiter, spaced=False, header=True, cells=("a", "b"), numbers=(True, True), starts_blank=False
    )

    def run(text: str, folder: Path) -> Any:
        file = folder / "file.csv"
        file.write_text(text + "\n", newline="")
        return csv_walk.survey(file, dialect, {"", "NA"})

    return run


def imported(format: Any, above: str = "a,b\n1,", below: str = "\n2,3\n", **options: Any) -> Callable[[str, Path], Any]:
    def run(text: str, folder: Path) -> Any:
        file = folder / "file"
        file.write_text(above + text + below, newline="")
        return import_table(file, format, ImportOptions(**options), folder / "out.parquet")

    return run


def predicted(*names: str, type: str, above: str, below: str = "") -> Callable[[str, Path], Any]:
    """Rows of a prediction as CSV, of features with these names."""
    inputs = [{"name": name, "type": type, "categories": ["x"]} for name in names]

    def run(text: str, _folder: Path) -> Any:
        return list(csv_rows.slices((above + text + below).encode(), inputs, 4_096, 100_000))

    return run


PARSERS: dict[str, Callable[[str, Path], Any]] = {
    "a number cell": lambda text, _: csv_dialect.is_number(text),
    "a number past a double": lambda text, _: csv_dialect._BEYOND_DOUBLE.fullmatch(text),
    "a table's bytes": survey(","),
    "a table's bytes between spaces": survey(" "),
    "a table's bytes between bars": survey("|"),
    "names": lambda text, _: naming.settle_names(text.split(",")[:10_000]),  # more columns are refused
    "a CSV cell": imported("csv"),
    "a CSV cell between spaces": imported("csv", "a b\n1 ", "\n2 3\n", delimiter=" "),
    "a prediction's CSV": predicted("a", type="numeric", above=""),
    "a prediction's rows of numbers": predicted("a", "b", type="numeric", above="a,b\n1,2\n1,", below="\n"),
    "a prediction's rows of texts": predicted("a", "b", type="categorical", above="a,b\nx,x\nx,", below="\n"),
    "a prediction's rows of times": predicted("a", "b", type="datetime", above="a,b\n2026-01-01,\n,", below="\n"),
    "a prediction's rows of one column": predicted("a", type="categorical", above="a\n", below="\nx\n"),
    "a JSON line": imported("ndjson", '{"a":1,"b":"', '"}\n{"a":2,"b":"3"}\n'),
    "a JSON body": lambda text, _: strict_json.parse(text.encode()),
    "a large JSON body": lambda text, _: strict_json.parse_large(text.encode()),
    "a JSON body of a text": lambda text, _: strict_json.parse(b'{"a":"' + text.encode() + b'"}'),
    "a JSON body of a number": lambda text, _: strict_json.parse(b'{"a":' + text.encode() + b"}"),
    "types of columns": lambda text, _: strict_json.parse_parameter("types", text),
    "a time": lambda text, _: times.microseconds(text),
    "a request id": lambda text, _: access.request_id({"HTTP_X_REQUEST_ID": text}),
    "a host": lambda text, _: access._check_browser({"HTTP_HOST": text}),
    "an id": lambda text, _: ids.is_id(text),
    "a model's reference": lambda text, _: models._REF.fullmatch(text),
    "a cursor": lambda text, _: pages.decode(text, str),
}


def seconds(parse: Callable[[str, Path], Any], text: str, folder: Path) -> float:
    """The processor's, at best of some tries; what is refused has been read as well."""
    best = math.inf
    for _ in range(TRIES):
        began = time.process_time()
        with suppress(*REFUSALS):
            parse(text, folder)
        best = min(best, time.process_time() - began)
        if best < INSTANT_SECONDS / 10:
            break
    return best


@pytest.mark.parametrize("parser", PARSERS)
def test_time_is_in_proportion_to_length(parser: str, tmp_path: Path) -> None:
    parse = PARSERS[parser]
    slow = {}
    for name, shape in SHAPES.items():
        small = max(seconds(parse, shape(SMALL), tmp_path), INSTANT_SECONDS / 16)
        if small > 1:
            slow[name] = f"{small:.1f} s for {SMALL} characters"
            continue
        large = seconds(parse, shape(LARGE), tmp_path)
        slope = math.log(large / small, LARGE / SMALL)
        if large > INSTANT_SECONDS and slope > LARGEST_SLOPE:
            slow[name] = f"slope {slope:.2f}, {large:.3f} s"
    assert not slow
