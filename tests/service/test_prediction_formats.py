"""Rows come as CSV and Arrow too, and answers go as them: the same numbers as in JSON, under names of their own."""

import csv
import io
import random
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import ipc
from werkzeug.test import TestResponse

from learning.columns import CategoricalColumn, NumericColumn
from service.problems import Invalid, Problem
from service.serving import arrow_rows, csv_rows
from service.serving.tables import table_of, texts, time_of
from store.tabular.counting import is_finite, is_moment
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


def stream_of(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    with ipc.new_stream(out, table.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
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
            column = pa.array([time_of(text) for text in column.to_pylist()]).cast("int64").cast(pa.timestamp("us"))
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


def test_a_text_that_a_spreadsheet_would_run_is_defused() -> None:
    codes = torch.tensor([0, 1, 2, 3])
    table = {"@sum": CategoricalColumn(codes, ("=1+1", "+x", "-y", "plain")), "n": NumericColumn(-codes.double())}
    assert list(csv.reader(io.StringIO(csv_rows.written(table).decode()))) == [
        ["'@sum", "n"],
        ["'=1+1", "-0.0"],
        ["'+x", "-1.0"],
        ["'-y", "-2.0"],
        ["plain", "-3.0"],
    ]


TIMES = [
    *("2026-01-31", "2026/1/5", "2026-1-5T9:05:06Z", "2026-01-05 1:00", "2026-01-05 10:00:00.5+02:30", "2026-02-30"),
    *("2026-01-31T12:00:00.1234567Z", "2026-01-31 12:00:00.9999999", "2026-01-05T10:00:60", "2026-13-05", "2026/01-05"),
    *("2026-01-05 10:00+02", "2026-01-05 10:00 +02", "2026-01-05 10:00+0230", "12026-01-05", "1969-12-31", "x", "2026"),
    *(
        "2026-01-05T10:00 Z",
        "2026-01-05 10",
        "2026-01-05T10:00-01:30",
        "9999-12-31",
        "0001-01-01",
        "2026-01-05 25:00",
        "2026-01-05T10:00Z",
        "2026-01-05T10:00:00-0130",
    ),
]


# An import takes no offset behind minutes, and JSON does: here it is taken, and means what it means behind seconds.
WITHOUT_SECONDS = {"2026-01-05 10:00+02", "2026-01-05 10:00+0230", "2026-01-05T10:00-01:30", "2026-01-05T10:00Z"}


def test_a_time_is_what_it_is_in_a_dataset() -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        connection.execute("CREATE TABLE t AS SELECT unnest(?) AS c", [TIMES])
        rows = connection.execute(f"SELECT CASE WHEN {is_moment('c')} THEN epoch_us(c::TIMESTAMPTZ) END FROM t")
        imported = dict(zip(TIMES, (row[0] for row in rows.fetchall()), strict=True))
    for text in WITHOUT_SECONDS:
        imported[text] = time_of(f"{text[:16]}:00{text[16:]}")
        assert imported[text] is not None
    assert {text: time_of(text) for text in TIMES} == imported


NUMERALS = [
    *(
        "1",
        "+1",
        " 1 ",
        "1.",
        ".5",
        "1e5",
        "1E-3",
        "-0",
        "1_000",
        "0x1",
        "1d",
        "1e",
        "inf",
        "-Infinity",
        "nan",
        "\u0661",
    ),
    *("1e400", "1 2", "--1", "1,5", "\t1", "1\u00a0", "e5", ".", "9" * 400, "0.1e-400", "true", "-.5e+3"),
]


def test_a_number_is_what_it_is_in_a_dataset() -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT unnest(?) AS c", [NUMERALS])
        rows = connection.execute(f"SELECT CASE WHEN {is_finite('c')} THEN c::DOUBLE END FROM t").fetchall()
    for text, (value,) in zip(NUMERALS, rows, strict=True):
        body, inputs = f'x\n"{text}"\n'.encode(), [{"name": "x", "type": "numeric"}]
        if value is None:
            with pytest.raises(Invalid) as refusal:
                csv_rows.table(body, inputs, 10)
            assert list(refusal.value.errors) == ["instances.0.x"]
        else:
            assert csv_rows.table(body, inputs, 10)["x"].values.tolist() == [value], text


def test_a_category_that_reads_as_missing_is_one_where_it_was_learned() -> None:
    column = {"c": texts(["NA", "", "x"])}
    known = table_of(column, [{"name": "c", "type": "categorical", "categories": ["NA", "x"]}], 3)["c"]
    plain = table_of(column, [{"name": "c", "type": "categorical", "categories": ["x"]}], 3)["c"]
    assert known.codes.tolist() == [0, -1, 2]
    assert plain.codes.tolist() == [-1, -1, 2]


def test_no_change_to_the_bytes_of_a_stream_does_harm(mixed: str) -> None:
    """Thousands of broken streams, each refused or read; in one process, which must live."""
    inputs = [
        {"name": name, "type": kind}
        for name, kind in [("n", "numeric"), ("t", "categorical"), ("d", "categorical"), ("b", "boolean")]
    ] + [{"name": "at", "type": "datetime"}]
    table = pa.table(
        {
            "n": [1.5, None, 3.0],
            "t": ["x", None, "yé"],
            "d": pa.array(["p", "q", "p"]).dictionary_encode(),
            "b": [True, None, False],
            "at": pa.array([0, 1, None], pa.timestamp("us", "UTC")),
        }
    )
    whole = stream_of(table)
    assert arrow_rows.table(whole, inputs, 10)["n"].rows == 3
    drawn = random.Random(20)
    read = refused = 0
    for _ in range(4_000):
        body = bytearray(whole)
        for _ in range(drawn.choice([1, 1, 2, 4])):
            place = drawn.randrange(len(body) - 8)
            match drawn.randrange(4):
                case 0:
                    body[place] = drawn.randrange(256)
                case 1:
                    body[place] ^= 1 << drawn.randrange(8)
                case 2:
                    ends = [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\0\0\0\x80"]
                    body[place : place + 4] = drawn.choice(ends)
                case _:
                    del body[place : place + drawn.randrange(9)]
        try:
            found = arrow_rows.table(bytes(body), inputs, 10)
        except Problem:
            refused += 1
        else:
            assert {column.rows for column in found.values()} <= set(range(1, 11))
            read += 1
    assert refused > 1_000
    assert read > 100


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("coded", [False, True])
def test_a_stream_that_would_have_to_be_inflated_is_refused(compression: str, coded: bool) -> None:
    column = pa.array(["long enough to be worth it"] * 100 + ["another"])
    table = pa.table({"t": column.dictionary_encode() if coded else column})
    inputs = [{"name": "t", "type": "categorical"}]
    assert arrow_rows.table(stream_of(table), inputs, 1_000)["t"].rows == 101
    with pytest.raises(Invalid, match="without compression"):
        arrow_rows.table(stream_of(table, compression=compression), inputs, 1_000)


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
