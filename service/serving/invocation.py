"""A scoring request of MLflow as a model's rows: its four forms in JSON, and CSV.

Stricter than MLflow's own: params, which no model has here, are refused and not passed over with a warning.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from flask import Request
from marshmallow import ValidationError

from learning.model import Inputs
from service.answers import JSON
from service.blueprint import require_media
from service.json_pieces import Path, Pieces, batches
from service.problems import Invalid, Malformed, flatten
from service.schemas.invocations import InvocationIn
from service.schemas.predictions import MOST_INSTANCES
from service.serving import csv_rows, json_rows
from service.serving.answering import Reader
from service.serving.instances import Input, columns_of
from service.serving.prediction import CSV, checked, parsed, read_large_body
from service.serving.slices import Rows, check_cells, moved
from service.serving.tables import check_names

_SCHEMA = InvocationIn()
_STREAMED: Mapping[Path, int] = {
    ("dataframe_split", "data"): MOST_INSTANCES,
    ("dataframe_split", "index"): MOST_INSTANCES,
    ("dataframe_records",): MOST_INSTANCES,
    ("instances",): MOST_INSTANCES,
    ("inputs",): MOST_INSTANCES,
    ("inputs", "*"): MOST_INSTANCES,
}
_AT_ONCE = 1 << 15  # values
_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def read(request: Request) -> Reader:
    """What makes the rows a model's inputs. Raises WrongMedia, Malformed, Invalid, and 413."""
    body = read_large_body(request)
    require_media(request, JSON, CSV)
    if request.mimetype == CSV:
        return partial(csv_rows.slices, body, most=MOST_INSTANCES)
    if not body:
        raise Malformed("The body is empty; it must be a JSON object.")
    try:
        found: dict[str, Any] = _SCHEMA.load(parsed(body, _STREAMED))
    except ValidationError as error:
        raise Invalid(flatten(error.messages)) from None
    if found.pop("params", None):
        raise Invalid({"params": "empty or absent: this model takes none"})
    if len(found) != 1:
        raise Invalid(dict.fromkeys(found or ("dataframe_split",), f"exactly one of {', '.join(_FORMS)}"))
    ((form, rows),) = found.items()
    if form == "dataframe_split":
        return partial(_of_frame, rows)
    if isinstance(rows, dict):
        return partial(_of_columns, rows)
    return partial(json_rows.slices, checked(rows, form), place=form)


def _of_frame(frame: Mapping[str, Any], inputs: Inputs, size: int) -> Iterator[Rows]:
    at = "dataframe_split.data"
    rows, names = checked(frame["data"], at), frame.get("columns")
    for _ in batches(frame.get("index", []), size):  # passed over, but it must be JSON
        pass
    if names is None:
        return json_rows.slices(rows, inputs, size, at)
    _check(names, inputs, "dataframe_split.columns")

    def arrange(batch: list[Any], first: int) -> list[Any]:
        wrong = [index for index, row in enumerate(batch) if not isinstance(row, list) or len(row) != len(names)]
        if wrong:
            message = f"an array of {len(names)} values, as there are columns"
            raise Invalid({f"{at}.{first + index}": message for index in wrong[:100]})
        return _in_order(names, batch, inputs)

    same = isinstance(rows, Pieces) and names == [each["name"] for each in inputs] and inputs.are_numbers
    return json_rows.slices(rows, inputs, size, at, None if same else arrange)


def _in_order(names: list[str], rows: list[Any], inputs: Sequence[Input]) -> list[list[Any]]:
    """The values of each row in the features' order, null where a feature has no column."""
    wanted = [each["name"] for each in inputs]
    if names == wanted:
        return rows
    indices = {name: index for index, name in enumerate(names)}
    places = [indices.get(name) for name in wanted]
    return [[None if place is None else row[place] for place in places] for row in rows]


def _of_columns(columns: Mapping[str, Any], inputs: Inputs, size: int) -> Iterator[Rows]:
    """Named tensors: of each feature its values [N], or [N, 1]."""
    names = list(columns)
    _check(names, inputs, "inputs")
    for name, values in columns.items():
        if not isinstance(values, list | Pieces):
            raise Invalid({f"inputs.{name}": "a list of values"})
    if not names:
        raise Invalid({"inputs": "a list for one feature or more"})
    if len(set(map(len, columns.values()))) != 1:
        raise Invalid({f"inputs.{name}": "as many values as the others have" for name in names})
    count = len(columns[names[0]])
    checked(columns[names[0]], "inputs")
    check_cells(count, len(inputs), "inputs")
    rows = zip(*(_elements(values) for values in columns.values()), strict=True)
    for first in range(0, count, size):
        batch = list(map(list, islice(rows, size)))
        try:
            yield columns_of(_in_order(names, batch, inputs), inputs)
        except Invalid as error:
            whole = moved(error, first)
            raise Invalid({_of_column(path): messages for path, messages in whole.errors.items()}) from None


def _elements(values: list[Any] | Pieces) -> Iterator[Any]:
    """The values of a list [N], or [N, 1] where all are lists of one."""
    is_nested: bool | None = None
    for _, batch in batches(values, _AT_ONCE):
        all_nested = all(isinstance(each, list) and len(each) == 1 for each in batch)
        is_nested = all_nested if is_nested is None else is_nested
        yield from (value for (value,) in batch) if is_nested and all_nested else batch


def _of_column(path: str) -> str:
    """Of a row's field, as `instances.7.size`, where it stands in a column."""
    _, row, name = path.split(".", 2)
    return f"inputs.{name}.{row}"


def _check(names: list[Any], inputs: Sequence[Input], place: str) -> None:
    if not all(isinstance(name, str) for name in names):
        raise Invalid({place: "a list of features' names"})
    check_names(names, inputs, place)
