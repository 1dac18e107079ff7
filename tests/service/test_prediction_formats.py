"""Rows come as CSV and Arrow too, and answers go as them: the same numbers as in JSON, under names of their own."""

import csv
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import ipc
from werkzeug.test import TestResponse

from store.tabular.times import microseconds
from tests.service.arrow_streams import stream_of
from tests.service.callers import Caller

CSV, ARROW, JSON = "text/csv", "application/vnd.apache.arrow.stream", "application/json"
TARGETS = {"price": "regression", "colour": "multiclass", "garden": "binary", "quality": "multiclass"}


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture(scope="module")
def runs(there: Caller, mixed: str) -> dict[str, dict[str, Any]]:
    dataset = there.dataset(mixed)
    found = {target: there.trained(dataset, target, epochs=3) for target in TARGETS}
    assert {target: run["task"] for target, run in found.items()} == TARGETS
    dataset = there.dataset("a,b,wet,cold\n" + "1,2,true,false\n2,3,false,true\n4,1,true,true\n" * 10)
    found["labels"] = there.trained(dataset, ["wet", "cold"], epochs=3)
    found["numbers"] = there.trained(dataset, ["a", "b"], epochs=3)
    return found


@pytest.fixture(scope="module")
def instances(runs: dict[str, dict[str, Any]], mixed: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of the table as JSON has them, with only the features of each run."""
    kinds = {"size": float, "price": float, "rooms": int, "quality": int, "garden": "true".__eq__}
    rows = [
        {name: None if not cell else kinds.get(name, str)(cell) for name, cell in row.items()}
        for row in csv.DictReader(io.StringIO(mixed))
    ]
    found = {target: [{name: row[name] for name in runs[target]["features"]} for row in rows] for target in TARGETS}
    few = [{"a": 1, "b": 2, "wet": True, "cold": False}, {"a": 3.5, "b": None, "wet": False, "cold": None}]
    return found | {
        name: [{each: row[each] for each in runs[name]["features"]} for row in few] for name in ("labels", "numbers")
    }


def ask(there: Caller, run: dict[str, Any], body: Any, media: str = CSV, *, query: str = "", accept: str = JSON) -> Any:
    address = f"/v1/runs/{run['id']}/predictions{query}"
    answer = there.client.post(address, data=body, content_type=media, headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    return answer.json if accept == JSON else answer


def in_json(there: Caller, run: dict[str, Any], instances: list[Any], **options: Any) -> dict[str, Any]:
    answer = there.client.post(f"/v1/runs/{run['id']}/predictions", json={"instances": instances, **options})
    assert answer.status_code == 200, answer.text
    return answer.json


def as_csv(rows: list[dict[str, Any]], **dialect: Any) -> str:
    words = {type(None): lambda _: "", bool: lambda value: str(value).lower()}
    out = io.StringIO(newline="")
    writer = csv.writer(out, **dialect)
    writer.writerow(rows[0])
    writer.writerows([words.get(type(value), str)(value) for value in row.values()] for row in rows)
    return out.getvalue()


EVERY = [*TARGETS, "labels", "numbers"]


@pytest.mark.parametrize("target", EVERY)
def test_csv_and_arrow_rows_have_the_answers_that_json_has(
    there: Caller, runs: dict[str, Any], instances: dict[str, Any], target: str
) -> None:
    run, rows = runs[target], instances[target]
    classes = target not in ("price", "numbers")
    expected = in_json(there, run, rows, probabilities=classes)
    query = f"?probabilities={'true' if classes else 'false'}"
    assert ask(there, run, as_csv(rows), CSV, query=query) == expected
    assert ask(there, run, stream_of(pa.Table.from_pylist(rows)), ARROW, query=query) == expected


@pytest.mark.parametrize(
    "written",
    [
        lambda rows: "\ufeff" + as_csv(rows),
        lambda rows: as_csv(rows, lineterminator="\n"),
        lambda rows: as_csv(rows, lineterminator="\r"),
        lambda rows: as_csv(rows, quoting=csv.QUOTE_ALL),
        lambda rows: as_csv(rows, delimiter=";"),
        lambda rows: as_csv(rows, delimiter=";", quoting=csv.QUOTE_ALL),
        lambda rows: as_csv(rows, delimiter="\t", lineterminator="\n\n"),
        lambda rows: as_csv([dict(reversed(row.items())) for row in rows]),
        lambda rows: as_csv(rows).replace("size", " size ", 1),
        lambda rows: as_csv(rows).replace(",,", ",NA,").replace("\n,", "\nNaN,"),
    ],
    ids=[
        "bom",
        "lf",
        "cr",
        "quoted",
        "semicolons",
        "quoted-semicolons",
        "tabs-and-empty-lines",
        "other-order",
        "spaces",
        "markers",
    ],
)
def test_csv_may_be_written_in_many_ways(
    there: Caller, runs: dict[str, Any], instances: dict[str, Any], written: Callable[[list[Any]], str]
) -> None:
    rows = instances["price"]
    assert ask(there, runs["price"], written(rows).encode()) == in_json(there, runs["price"], rows)


def test_a_column_that_is_absent_is_missing(there: Caller, runs: dict[str, Any], instances: dict[str, Any]) -> None:
    rows = [{"rooms": row["rooms"]} for row in instances["price"]]
    expected = in_json(there, runs["price"], rows)
    assert ask(there, runs["price"], as_csv(rows)) == expected
    assert ask(there, runs["price"], stream_of(pa.Table.from_pylist(rows)), ARROW) == expected


@pytest.mark.parametrize(
    "types",
    [
        {"size": pa.float32(), "rooms": pa.int8(), "quality": pa.uint64(), "colour": pa.large_string()},
        {"size": pa.decimal128(10, 2), "rooms": pa.float16(), "colour": pa.string_view()},
        {"rooms": pa.dictionary(pa.int8(), pa.int64()), "colour": pa.dictionary(pa.uint16(), pa.string())},
        {"sold_at": pa.timestamp("us", "UTC")},
        {"sold_at": pa.timestamp("ns")},
        {"sold_at": pa.timestamp("s", "Europe/Berlin")},
    ],
    ids=["small", "odd", "dictionaries", "times", "nanoseconds", "seconds"],
)
def test_arrow_columns_may_have_many_types(
    there: Caller, runs: dict[str, Any], instances: dict[str, Any], types: dict[str, pa.DataType]
) -> None:
    rows = [
        {**row, "size": None if row["size"] is None else float(np.float32(round(row["size"])))}
        for row in instances["price"]
    ]
    table = pa.Table.from_pylist(rows)
    for name, type in types.items():
        place = table.column_names.index(name)
        column = table.column(name)
        if name == "sold_at":
            column = (
                pa.array([microseconds(text) for text in column.to_pylist()]).cast("int64").cast(pa.timestamp("us"))
            )
        if pa.types.is_dictionary(type):
            column = column.combine_chunks().dictionary_encode().cast(type)
        table = table.set_column(place, name, column.cast(type))
    assert ask(there, runs["price"], stream_of(table), ARROW) == in_json(there, runs["price"], rows)


def test_batches_of_a_stream_are_rows_one_after_the_other(
    there: Caller, runs: dict[str, Any], instances: dict[str, Any]
) -> None:
    rows = instances["price"]
    table = pa.Table.from_pylist(rows)
    coded = table.set_column(
        table.column_names.index("colour"),
        "colour",
        pa.chunked_array(
            [
                c.dictionary_encode()
                for c in pa.chunked_array(
                    [table["colour"].combine_chunks()[:50], table["colour"].combine_chunks()[50:]]
                ).chunks
            ]
        ),
    )
    out = io.BytesIO()
    with ipc.new_stream(out, coded.schema) as writer:
        for batch in coded.to_batches(max_chunksize=7):
            writer.write_batch(batch)
    assert ask(there, runs["price"], out.getvalue(), ARROW) == in_json(there, runs["price"], rows)


def told(answer: TestResponse) -> dict[str, list[Any]]:
    """A table of answers, with the values as JSON would have them."""
    if answer.content_type == ARROW:
        return ipc.open_stream(answer.data).read_all().to_pydict()
    header, *rows = csv.reader(io.StringIO(answer.text))
    words = {"true": True, "false": False, "": None}

    def value(cell: str) -> Any:
        if cell in words:
            return words[cell]
        try:
            return int(cell) if cell.isdigit() else float(cell)
        except ValueError:
            return cell

    return {name: [value(row[place]) for row in rows] for place, name in enumerate(header)}


@pytest.mark.parametrize("accept", [CSV, ARROW])
@pytest.mark.parametrize("target", EVERY)
def test_answers_in_columns_say_what_json_says(
    there: Caller, runs: dict[str, Any], instances: dict[str, Any], target: str, accept: str
) -> None:
    run, rows = runs[target], instances[target]
    classes = target not in ("price", "numbers")
    expected = in_json(there, run, rows, probabilities=classes, interval=0.5)
    query = f"?interval=0.5&probabilities={'true' if classes else 'false'}"
    answer = ask(there, run, as_csv(rows), CSV, query=query, accept=accept)
    assert answer.content_type.split(";")[0] == accept
    assert answer.headers["X-Learnd-Run"] == run["id"]
    found = told(answer)
    if target in ("labels", "numbers"):
        columns = [found[f"prediction_{name}"] for name in run["target"]]
        assert [list(row) for row in zip(*columns, strict=True)] == expected["predictions"]
    else:
        assert found["prediction"] == expected["predictions"]
        assert [type(each) for each in found["prediction"]] == [type(each) for each in expected["predictions"]]
    if classes:
        named = [str(each).lower() if isinstance(each, bool) else str(each) for each in expected["classes"]]
        columns = [found[f"probability_{each}"] for each in named]
        assert [list(row) for row in zip(*columns, strict=True)] == expected["probabilities"]
    if target == "price":
        assert [list(row) for row in zip(found["low"], found["high"], strict=True)] == expected["intervals"]
    if target == "colour":
        sets = [[each for each in expected["classes"] if found[f"in_set_{each}"][row]] for row in range(len(rows))]
        assert sets == expected["sets"]


def test_accept_is_weighed(there: Caller, runs: dict[str, Any]) -> None:
    def kind(accept: str) -> str:
        return ask(there, runs["numbers"], "wet\ntrue\n", CSV, accept=accept).content_type.split(";")[0]

    assert kind("*/*") == kind("application/*;q=0.2, text/html") == kind("application/json; charset=utf-8") == JSON
    assert kind("text/*") == kind("text/csv, application/json;q=0.5") == kind("text/csv; charset=utf-8") == CSV
    assert kind(f"text/csv;q=0.1, {ARROW};q=0.2, */*;q=0") == ARROW


def test_options_stand_in_the_query_of_a_table_and_in_the_body_of_json(there: Caller, runs: dict[str, Any]) -> None:
    def errors(body: Any, media: str, query: str) -> dict[str, Any]:
        address = f"/v1/runs/{runs['price']['id']}/predictions{query}"
        answer = there.client.post(address, data=body, content_type=media)
        assert answer.status_code == 422, answer.text
        return answer.json["errors"]

    assert "with application/json" in errors('{"instances": [{}]}', JSON, "?member=0")["member"][0]
    assert "allowed: interval, member, probabilities" in errors("rooms\n1\n", CSV, "?colour=red")["colour"][0]
    for wrong in ("2", "0", "1e400", "nan", "half", "", "0x1p-1", "true"):
        assert "a number above 0 and below 1" in errors("rooms\n1\n", CSV, f"?interval={wrong}")["interval"][0]
    assert "true or false" in errors("rooms\n1\n", CSV, "?probabilities=1")["probabilities"][0]
    assert "regression" in errors("rooms\n1\n", CSV, "?probabilities=true")["probabilities"][0]
