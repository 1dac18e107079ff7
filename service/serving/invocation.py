"""A scoring request of MLflow as a model's rows: its four forms in JSON, and CSV.

Stricter than MLflow's own: params, which no model has here, are refused and not passed over with a warning.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from flask import Request
from marshmallow import ValidationError

from service import strict_json
from service.answers import JSON
from service.blueprint import require_media
from service.problems import Invalid, Malformed, flatten
from service.schemas.invocations import InvocationIn
from service.schemas.predictions import MOST_INSTANCES
from service.serving import csv_rows
from service.serving.instances import Input, columns_of
from service.serving.prediction import CSV, Reader, Rows, checked, read_large_body
from service.serving.tables import check_names

_SCHEMA = InvocationIn()
_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def read(request: Request) -> Reader:
    """What makes the rows a table of a model's inputs. Raises WrongMedia, Malformed, Invalid, and 413."""
    body = read_large_body(request)
    require_media(request, JSON, CSV)
    if request.mimetype == CSV:
        return partial(csv_rows.table, body, most=MOST_INSTANCES)
    if not body:
        raise Malformed("The body is empty; it must be a JSON object.")
    try:
        found: dict[str, Any] = _SCHEMA.load(strict_json.parse_large(body))
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
    return partial(_rows, form, checked(rows, form))


def _rows(place: str, rows: list[Any], inputs: Sequence[Input]) -> Rows:
    """Records or arrays; what is wrong is named where the caller wrote it."""
    try:
        return columns_of(rows, inputs)
    except Invalid as error:
        found = {path.removeprefix("instances"): messages for path, messages in error.errors.items()}
        raise Invalid({f"{place}{path}": messages for path, messages in found.items()}) from None


def _of_frame(frame: Mapping[str, Any], inputs: Sequence[Input]) -> Rows:
    rows, names = checked(frame["data"], "dataframe_split.data"), frame.get("columns")
    if names is not None:
        _check(names, inputs, "dataframe_split.columns")
        wrong = [index for index, row in enumerate(rows) if not isinstance(row, list) or len(row) != len(names)]
        if wrong:
            message = f"an array of {len(names)} values, as there are columns"
            raise Invalid({f"dataframe_split.data.{index}": message for index in wrong[:100]})
        rows = _in_order(names, rows, inputs)
    return _rows("dataframe_split.data", rows, inputs)


def _in_order(names: list[str], rows: list[Any], inputs: Sequence[Input]) -> list[list[Any]]:
    """The values of each row in the features' order, null where a feature has no column."""
    wanted = [each["name"] for each in inputs]
    if names == wanted:
        return rows
    places = [names.index(name) if name in names else None for name in wanted]
    return [[None if place is None else row[place] for place in places] for row in rows]


def _of_columns(columns: Mapping[str, Any], inputs: Sequence[Input]) -> Rows:
    """Named tensors: of each feature its values [N], or [N, 1]."""
    names = list(columns)
    _check(names, inputs, "inputs")
    values = {name: _flat(f"inputs.{name}", each) for name, each in columns.items()}
    if not names:
        raise Invalid({"inputs": "a list for one feature or more"})
    if len(set(map(len, values.values()))) != 1:
        raise Invalid({f"inputs.{name}": "as many values as the others have" for name in names})
    rows = checked([list(row) for row in zip(*values.values(), strict=True)], "inputs")
    try:
        return columns_of(_in_order(names, rows, inputs), inputs)
    except Invalid as error:
        raise Invalid({_of_column(path): messages for path, messages in error.errors.items()}) from None


def _of_column(path: str) -> str:
    """Of a row's field, as `instances.7.size`, where it stands in a column."""
    _, row, name = path.split(".", 2)
    return f"inputs.{name}.{row}"


def _flat(place: str, values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise Invalid({place: "a list of values"})
    if values and all(isinstance(each, list) and len(each) == 1 for each in values):
        return [value for (value,) in values]
    return values


def _check(names: list[Any], inputs: Sequence[Input], place: str) -> None:
    if not all(isinstance(name, str) for name in names):
        raise Invalid({place: "a list of features' names"})
    check_names(names, inputs, place)
