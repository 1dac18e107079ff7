"""Rows of a request, some at a time: no table of a request is ever whole in memory, encoded or answered.

A row's answer is the same bytes in whatever slice.
"""

from collections.abc import Iterator

from learning.cells import Cells, Row
from learning.columns import Table, take
from learning.model import MeanModel, Model
from service.problems import Invalid

MOST_CELLS = 1 << 25  # of a request, those that are absent too: they cost no bytes
_NUMBERS = 1 << 17  # of a slice
_MOST_ROWS, _FEWEST_ROWS = 8_192, 16

Rows = Table | Cells | Row  # what a model predicts from


def rows_at_once(model: Model | MeanModel) -> int:
    """How many rows make a slice."""
    return min(_MOST_ROWS, max(_FEWEST_ROWS, _NUMBERS // model.widest))


def check_cells(rows: int, features: int, place: str = "instances") -> None:
    """Raises Invalid for more values than are taken in one request, those that are missing among them."""
    if rows * features > MOST_CELLS:
        raise Invalid({place: f"at most {MOST_CELLS // features} rows at a time, of {features} features"})


def sliced(rows: Rows, size: int) -> Iterator[Rows]:
    """These rows, `size` at a time."""
    if isinstance(rows, Row):
        yield rows
    elif isinstance(rows, Cells):
        for start in range(0, rows.rows, size):
            yield Cells(rows.numbers[start : start + size], rows.codes[start : start + size])
    else:
        for start in range(0, next(iter(rows.values())).rows, size):
            yield {name: take(column, slice(start, start + size)) for name, column in rows.items()}


def moved(error: Invalid, first: int, place: str = "instances") -> Invalid:
    """The refusal of rows that are a part of a request: each path with its row's index in the whole, below `place`."""
    found = {}
    for path, messages in error.errors.items():
        head, _, rest = path.partition(".")
        index, dot, field = rest.partition(".")
        is_row = head == "instances" and index.isdigit()
        found[f"{place}.{int(index) + first}{dot}{field}" if is_row else path] = messages
    return Invalid(found)
