"""MLflow's /invocations: its own request shapes, and the numbers of the predictions route."""

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.service.callers import Caller

NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.1, 4.7, 1.5], [6.3, 3.3, 6.0, None]]
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
COLUMNS = {name: [row[place] for row in ROWS] for place, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller], iris: str, mixed: str) -> Caller:
    caller = new_caller()
    dataset = caller.dataset(iris)
    for name, target, table in (
        ("iris", "species", dataset),
        ("width", "petal_width", dataset),
        ("both", ["petal_width", "petal_length"], dataset),
        ("price", "price", caller.dataset(mixed)),
    ):
        run = caller.trained(table, target, epochs=3)
        answer = caller.client.post("/v1/models", json={"name": name, "run": run["id"], "alias": "prod"})
        assert answer.status_code == 201, answer.text
    return caller


def invoke(there: Caller, body: Any, model: str = "iris") -> TestResponse:
    return there.client.post(f"/v1/models/{model}/invocations", json=body)


def predicted(there: Caller, instances: list[Any], model: str = "iris") -> dict[str, Any]:
    answer = there.client.post(f"/v1/models/{model}/predictions", json={"instances": instances})
    return {"predictions": answer.json["predictions"]}


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": NAMES, "data": ROWS}},
        {"dataframe_split": {"columns": NAMES[::-1], "index": [7, 8, 9], "data": [row[::-1] for row in ROWS]}},
        {"dataframe_split": {"data": ROWS}},
        {"dataframe_records": RECORDS},
        {"dataframe_records": RECORDS, "params": None},
        {"instances": ROWS},
        {"instances": RECORDS, "params": {}},
        {"inputs": COLUMNS},
        {"inputs": {name: [[value] for value in values] for name, values in COLUMNS.items()}},
        {"inputs": ROWS},
        {"inputs": RECORDS},
    ],
)
@pytest.mark.parametrize("model", ["iris", "iris@prod", "iris:1"])
def test_each_of_its_forms_has_the_same_answer(there: Caller, body: dict[str, Any], model: str) -> None:
    answer = invoke(there, body, model)
    assert answer.status_code == 200, answer.text
    assert answer.json == predicted(there, ROWS)


def test_csv_with_a_header_is_the_fifth(there: Caller) -> None:
    lines = [",".join(NAMES), *(",".join("" if value is None else str(value) for value in row) for row in ROWS)]
    for media in ("text/csv", "text/csv; charset=utf-8"):
        sent = {"data": "\n".join(lines), "content_type": media}
        assert there.client.post("/v1/models/iris/invocations", **sent).json == predicted(there, ROWS)


def test_answers_are_plain_numbers_labels_or_rows_of_them(there: Caller) -> None:
    narrow = [{name: row[name] for name in NAMES[:2]} for row in RECORDS]
    for model, kind in (("width", float), ("both", list), ("price", float), ("iris", str)):
        rows = [{"rooms": 3}, {"colour": "red"}] if model == "price" else narrow
        answer = invoke(there, {"dataframe_records": rows}, model)
        assert answer.json == predicted(there, rows, model)
        assert {type(each) for each in answer.json["predictions"]} == {kind}


def test_a_column_that_is_absent_is_missing(there: Caller) -> None:
    rows = [{"petal_length": 4.2, "sepal_width": 3.0}, {"petal_length": 1.2, "sepal_width": None}]
    columns = ["petal_length", "sepal_width"]
    frame = {"columns": columns, "data": [[row[name] for name in columns] for row in rows]}
    for body in (
        {"dataframe_split": frame},
        {"inputs": {name: [row[name] for row in rows] for name in columns}},
    ):
        assert invoke(there, body).json == predicted(there, rows)


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ({}, "dataframe_split", "exactly one of"),
        ({"instances": ROWS, "inputs": ROWS}, "inputs", "exactly one of"),
        ({"instances": ROWS, "params": {"probabilities": True}}, "params", "takes none"),
        ({"instances": ROWS, "params": []}, "params", "an object"),
        ({"columns": NAMES, "data": ROWS}, "columns", "dataframe_split"),
        ({"signature_name": "x", "instances": ROWS}, "signature_name", "unknown"),
        ({"instances": []}, "instances", "1 to 100000"),
        ({"instances": [1.0]}, "instances.0", "a record"),
        ({"instances": None}, "instances", "a list"),
        ({"instances": [[1, 2, 3, "4"]]}, "instances.0.petal_width", "a number"),
        ({"inputs": []}, "inputs", "1 to 100000"),
        ({"inputs": {}}, "inputs", "one feature or more"),
        ({"inputs": 5}, "inputs", "a list of records or arrays, or an object"),
        ({"inputs": {"petal_length": [], "petal_width": []}}, "inputs", "1 to 100000"),
        ({"inputs": {"petal_length": [1], "petal_width": [1, 2]}}, "inputs.petal_width", "as many values"),
        ({"inputs": {"petal_length": 1.5}}, "inputs.petal_length", "a list"),
        ({"inputs": {"petal_length": [1.5, "x"]}}, "inputs.petal_length.1", "a number"),
        ({"inputs": {"petal_length": [[1], [2, 3]]}}, "inputs.petal_length.0", "a number"),
        ({"inputs": {"petal": [1.5]}}, "inputs.petal", "unknown feature"),
        ({"dataframe_split": {}}, "dataframe_split.data", "required"),
        ({"dataframe_split": {"data": []}}, "dataframe_split.data", "1 to 100000"),
        ({"dataframe_split": []}, "dataframe_split", "an object"),
        ({"dataframe_split": {"data": ROWS, "schema": {}}}, "dataframe_split.schema", "unknown"),
        ({"dataframe_split": {"columns": NAMES, "data": [[1, 2]]}}, "dataframe_split.data.0", "4 values"),
        ({"dataframe_split": {"columns": NAMES, "data": [ROWS[0], None]}}, "dataframe_split.data.1", "4 values"),
        ({"dataframe_split": {"columns": ["petal_length", 3], "data": [[1, 2]]}}, "dataframe_split.columns", "names"),
        ({"dataframe_split": {"columns": ["x"], "data": [[1]]}}, "dataframe_split.columns.x", "unknown feature"),
        (
            {"dataframe_split": {"columns": ["petal_length", "petal_length"], "data": [[1, 2]]}},
            "dataframe_split.columns.petal_length",
            "twice",
        ),
        (
            {"dataframe_split": {"columns": ["petal_width"], "data": [[1], [True]]}},
            "dataframe_split.data.1.petal_width",
            "a number",
        ),
        ({"dataframe_records": [{"petal_length": 1}, {"petal": 1}]}, "dataframe_records.1.petal", "unknown"),
    ],
)
def test_what_is_wrong_is_named_where_the_caller_wrote_it(
    there: Caller, body: dict[str, Any], path: str, words: str
) -> None:
    answer = invoke(there, body)
    assert answer.status_code == 422, answer.text
    assert words in answer.json["errors"][path][0]


def test_only_its_media_types_are_taken(there: Caller) -> None:
    for media, status in (
        ("application/vnd.apache.arrow.stream", 415),
        ("application/json; charset=latin-1", 415),
        ("", 415),
        ("application/json", 400),
    ):
        answer = there.client.post("/v1/models/iris/invocations", data=b"", content_type=media)
        assert answer.status_code == status
    assert there.client.post("/v1/models/iris/invocations?params=1", json={"instances": ROWS}).status_code == 422
    assert there.client.post("/v1/models/nothing/invocations", json={"instances": ROWS}).status_code == 404
