"""Bodies that no honest client sends: the right 4xx for each, with row and column where it has one; never a 5xx."""

import gzip
import io
import struct
from collections.abc import Callable
from typing import Any

import orjson
import pyarrow as pa
import pytest
from pyarrow import ipc

from service.problems import MEDIA_TYPE
from tests.service.callers import Caller

JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"
HEADER = "Inference-Header-Content-Length"
GOOD = b'{"instances": [{"size": 80.5, "colour": "red"}]}'


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller], iris: str, mixed: str) -> Caller:
    caller = new_caller()
    for name, table, target in (("houses", mixed, "price"), ("iris", iris, "species")):
        run = caller.trained(caller.dataset(table), target, epochs=1)
        assert caller.client.post("/v1/models", json={"name": name, "run": run["id"]}).status_code == 201
    return caller


def rows(*each: Any) -> bytes:
    return orjson.dumps({"instances": list(each)})


def stream(columns: dict[str, Any], **options: Any) -> bytes:
    table = pa.table(columns)
    out = io.BytesIO()
    with ipc.new_stream(out, table.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return out.getvalue()


def two_of_one_name() -> bytes:
    out = io.BytesIO()
    batch = pa.record_batch([pa.array([1.0]), pa.array([2.0])], names=["size", "size"])
    with ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(batch)
    return out.getvalue()


# As JSON: the body; then the status, the path of the field and words of what is allowed.
RECORDS: list[tuple[str, bytes, int, str | None, str]] = [
    ("nothing", b"", 400, None, "empty"),
    ("blank", b"   ", 400, None, "not JSON"),
    ("cut off", GOOD[:-3], 400, None, "not JSON"),
    ("two values", GOOD + GOOD, 400, None, "not JSON"),
    ("a comma too many", b'{"instances": [{"size": 1},]}', 400, None, "line 1"),
    ("bad UTF-8", b'{"instances": [{"colour": "\xc3\x28"}]}', 400, None, "UTF-8"),
    ("UTF-16", GOOD.decode().encode("utf-16"), 400, None, "UTF-8"),
    ("a byte order mark", b"\xef\xbb\xbf" + GOOD, 400, None, "not JSON"),
    ("no object", b'[{"size": 1}]', 400, None, "JSON object"),
    ("a text", b'"instances"', 400, None, "JSON object"),
    ("no instances", b"{}", 422, "instances", "required"),
    ("null instances", b'{"instances": null}', 422, "instances", "a list of 1 to 100000"),
    ("an object of instances", b'{"instances": {"0": {}}}', 422, "instances", "a list of 1 to 100000"),
    ("no instance", b'{"instances": []}', 422, "instances", "a list of 1 to 100000"),
    ("100,001 instances", rows(*[{}] * 100_001), 422, "instances", "a list of 1 to 100000"),
    ("null for a row", rows({}, None), 422, "instances.1", "a record"),
    ("a number for a row", rows(5), 422, "instances.0", "a record"),
    ("a text for a row", rows({}, "size"), 422, "instances.1", "a record"),
    ("an array among records", rows({}, {}, [1, 2]), 422, "instances.2", "a record"),
    ("a record among arrays", rows([None] * 6, {}), 422, "instances.1", "an array"),
    ("an empty array", rows([]), 422, "instances.0", "an array of 6 values, in the order size, rooms"),
    ("a narrow array", rows([None] * 6, [1, 2]), 422, "instances.1", "6 values"),
    ("a wide array", rows([None] * 7), 422, "instances.0", "6 values"),
    ("an unknown feature", rows({}, {"sizes": 1}), 422, "instances.1.sizes", "the features are size"),
    ("the target", rows({"price": 100}), 422, "instances.0.price", "unknown feature"),
    ("a name of dots", rows({"a.b.c": 1}), 422, "instances.0.a.b.c", "unknown feature"),
    ("another case", rows({"Size": 1}), 422, "instances.0.Size", "unknown feature"),
    ("a prototype", rows({"__proto__": {}}), 422, "instances.0.__proto__", "unknown feature"),
    ("a text for a number", rows({}, {"size": "80"}), 422, "instances.1.size", "a number"),
    ("a boolean for a number", rows({"size": True}), 422, "instances.0.size", "a number"),
    ("an array for a number", rows({"size": [80]}), 422, "instances.0.size", "a number"),
    ("an object for a number", rows({"size": {"$ne": 0}}), 422, "instances.0.size", "a number"),
    ("a number for a text", rows({"colour": 3}), 422, "instances.0.colour", "text"),
    ("an array for a text", rows({"colour": ["red"]}), 422, "instances.0.colour", "text"),
    ("a number for a boolean", rows({"garden": 1}), 422, "instances.0.garden", "true, false or null"),
    ("a text for a boolean", rows({"garden": "true"}), 422, "instances.0.garden", "true, false or null"),
    ("a number for a time", rows({"sold_at": 0}), 422, "instances.0.sold_at", "RFC 3339"),
    ("no time", rows({"sold_at": "tomorrow"}), 422, "instances.0.sold_at", "RFC 3339"),
    ("a 30th of February", rows({"sold_at": "2026-02-30"}), 422, "instances.0.sold_at", "RFC 3339"),
    ("1e400", b'{"instances": [{}, {"size": 1e400}]}', 422, "instances.1.size", "finite"),
    ("over float32", rows({"size": -1e39}), 422, "instances.0.size", "3.403e+38"),
    ("a huge integer", b'{"instances": [{"size": ' + b"9" * 300 + b"}]}", 422, "instances.0.size", "3.403e+38"),
    ("a million digits", b'{"instances": [{"size": ' + b"9" * 10**6 + b"}]}", 422, "instances.0.size", "a"),
    ("NaN", b'{"instances": [{"size": NaN}]}', 422, "instances.0.size", "finite"),
    ("-Infinity", b'{"instances": [{"size": -Infinity}]}', 422, "instances.0.size", "finite"),
    ("a key twice", b'{"instances": [{"size": 1, "size": 2}]}', 422, "instances.0.size", "twice"),
    ("a key twice, escaped", b'{"instances": [{"size": 1, "\\u0073ize": 2}]}', 422, "instances.0.size", "twice"),
    ("instances twice", b'{"instances": [{}], "instances": [{}]}', 422, "instances", "twice"),
    ("half a surrogate", b'{"instances": [{"colour": "\\ud800"}]}', 422, "instances.0.colour", "surrogate"),
    ("half a surrogate in a name", b'{"instances": [{"\\udfff": 1}]}', 422, "instances.0", "surrogate"),
    ("a NUL", b'{"instances": [{"colour": "a\\u0000"}]}', 422, "instances.0.colour", "NUL"),
    ("deep", b'{"instances": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", 422, "", "nesting of at most 16"),
    ("deep objects", b'{"instances": [' + b'{"a":' * 99 + b"1" + b"}" * 99 + b"]}", 422, "instances.0", ""),
    ("a deep cell", rows({"size": [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}), 422, "instances.0.size", ""),
    ("an unknown option", b'{"instances": [{}], "verbose": true}', 422, "verbose", "unknown field"),
    ("a text for an option", b'{"instances": [{}], "probabilities": "yes"}', 422, "probabilities", "true or false"),
    ("probabilities of a number", b'{"instances": [{}], "probabilities": true}', 422, "probabilities", "regression"),
    ("an interval of 2", b'{"instances": [{}], "interval": 2}', 422, "interval", "below 1"),
    ("a member that is none", b'{"instances": [{}], "member": -1}', 422, "member", "a whole number"),
]

TABLES: list[tuple[str, bytes, int, str | None, str]] = [
    ("nothing", b"", 400, None, "empty"),
    ("empty lines", b"\r\n\r\n\n", 400, None, "empty"),
    ("a header alone", b"size,rooms\n", 422, "instances", "1 to 100000 rows"),
    ("100,001 rows", b"size\n" + b"1\n" * 100_001, 422, "instances", "1 to 100000 rows"),
    ("no header", b"80.5,3\n40,2\n", 422, "columns.80.5", "the features are size"),
    ("an unknown column", b"size,sizes\n1,2\n", 422, "columns.sizes", "unknown feature"),
    ("a column twice", b"size,size\n1,2\n", 422, "columns.size_2", "unknown feature"),
    ("a column without a name", b"size,\n1,2\n", 422, "columns.column_2", "unknown feature"),
    ("a narrow row", b"size,rooms\n1,2\n3\n", 422, "instances.1", "2 values"),
    ("a wide row", b"size\n1\n1,2\n", 422, "instances.1", "1 values"),
    ("a word for a number", b"size\n1\n2\nmany\n", 422, "instances.2.size", "a number"),
    ("a number in groups", b'size\n"1,000"\n', 422, "instances.0.size", "a number"),
    ("another underscore", b"size\n1_000\n", 422, "instances.0.size", "a number"),
    ("an infinity", b"size\ninf\n", 422, "instances.0.size", "a number"),
    ("1e400", b"size\n1\n1e400\n", 422, "instances.1.size", "3.403e+38"),
    ("a hexadecimal", b"size\n0x10\n", 422, "instances.0.size", "a number"),
    ("a word for a boolean", b"garden\nyes\n", 422, "instances.0.garden", "true, false"),
    ("no time", b"sold_at\n2026-02-30\n", 422, "instances.0.sold_at", "ISO 8601"),
    ("bad UTF-8", b"colour\n\xff\n", 400, None, "UTF-8"),
    ("UTF-16", "size\n1\n".encode("utf-16"), 400, None, "zero byte"),
    ("a NUL", b"size\n1\0\n", 400, None, "zero byte"),
    ("an open quote", b'colour\n"red\n', 400, None, "not CSV"),
    ("text behind a quote", b'colour\n"red"dish\n', 400, None, "not CSV"),
    ("a field of a megabyte", b"colour\n" + b"x" * (1 << 20) + b"\n", 400, None, "field limit"),
    ("JSON", GOOD, 400, None, "not CSV"),
]

STREAMS: list[tuple[str, bytes, int, str | None, str]] = [
    ("nothing", b"", 400, None, "Arrow stream"),
    ("CSV", b"size\n1\n", 400, None, "Arrow stream"),
    ("zeros", bytes(1_000), 400, None, "Arrow stream"),
    ("a length of two gigabytes", b"\xff\xff\xff\xff\xff\xff\xff\x7f", 400, None, "Arrow stream"),
    ("a negative length", b"\xff\xff\xff\xff\x00\x00\x00\x80" + bytes(64), 400, None, "Arrow stream"),
    ("a file's magic", b"ARROW1\0\0" + stream({"size": [1.0]}), 400, None, "Arrow stream"),
    ("cut off in the schema", stream({"size": [1.0]})[:60], 400, None, "Arrow stream"),
    ("cut off in a batch", stream({"size": [1.0] * 50})[:-200], 400, None, "Arrow stream"),
    ("a schema alone", stream({"size": pa.array([], pa.float64())}), 422, "instances", "1 to 100000 rows"),
    ("100,001 rows", stream({"size": [1.0] * 100_001}), 422, "instances", "1 to 100000 rows"),
    ("ten million nulls", stream({"size": pa.nulls(10**7)}), 422, "instances", "1 to 100000 rows"),
    ("compression", stream({"size": [1.0] * 100}, compression="zstd"), 422, "instances", "without compression"),
    ("an unknown column", stream({"sizes": [1.0]}), 422, "columns.sizes", "the features are size"),
    ("a column twice", two_of_one_name(), 422, "columns.size", "twice"),
    ("a list", stream({"size": [[1.0]]}), 422, "columns.size", "numbers, booleans"),
    ("bytes", stream({"colour": [b"red"]}), 422, "columns.colour", "text"),
    ("texts for numbers", stream({"size": [None, "80"]}), 422, "instances.1.size", "a number"),
    ("booleans for numbers", stream({"size": [None, True]}), 422, "instances.1.size", "a number"),
    ("numbers for texts", stream({"colour": [3]}), 422, "instances.0.colour", "text"),
    ("numbers for booleans", stream({"garden": [1]}), 422, "instances.0.garden", "true, false"),
    ("numbers for times", stream({"sold_at": [1]}), 422, "instances.0.sold_at", "ISO 8601"),
    ("an infinity", stream({"size": [0.0, float("inf")]}), 422, "instances.1.size", "3.403e+38"),
    (
        "seconds past any time",
        stream({"sold_at": pa.array([1 << 60], pa.timestamp("s"))}),
        422,
        "columns.sold_at",
        "out of bounds",
    ),
]


def tensors(*each: dict[str, Any], **others: Any) -> bytes:
    return orjson.dumps(
        {"inputs": [{"name": "size", "datatype": "FP64", "shape": [1], **one} for one in each], **others}
    )


ONE = {"data": [80.5]}
INFERENCES: list[tuple[str, bytes, dict[str, str], int, str | None, str]] = [
    ("nothing", b"", {}, 400, None, "empty"),
    ("a list", b"[]", {}, 400, None, "JSON object"),
    ("no inputs", b"{}", {}, 422, "inputs", "required"),
    ("an empty list", b'{"inputs": []}', {}, 422, "inputs", "1 to"),
    ("null for a tensor", b'{"inputs": [null]}', {}, 422, "inputs.0", "an object"),
    ("an unknown member", tensors(ONE, raw=True), {}, 422, "raw", "unknown"),
    ("an unknown type", tensors({**ONE, "datatype": "FP128"}), {}, 422, "inputs.0.datatype", "one of BOOL"),
    ("no shape", tensors({**ONE, "shape": []}), {}, 422, "inputs.0.shape", "1 to 2"),
    ("three dimensions", tensors({**ONE, "shape": [1, 1, 1]}), {}, 422, "inputs.0.shape", "1 to 2"),
    ("a negative size", tensors({**ONE, "shape": [-1]}), {}, 422, "inputs.0.shape.0", "a whole number"),
    ("no row", tensors({"shape": [0], "data": []}), {}, 422, "inputs.0.shape", "1 to 100000"),
    ("a shape of terabytes", tensors({"shape": [1 << 40, 1 << 40], "data": []}), {}, 422, "inputs.0.data", "values"),
    ("more than the shape says", tensors({"data": [1, 2]}), {}, 422, "inputs.0.data", "1 values"),
    ("a ragged nest", tensors({"shape": [2], "data": [[1], 2]}), {}, 422, "inputs.0.data", "nested"),
    ("a text for a number", tensors({"shape": [2], "data": [1, "2"]}), {}, 422, "inputs.0.data.1", "a number"),
    ("a boolean for a number", tensors({"data": [True]}), {}, 422, "inputs.0.data.0", "a number"),
    (
        "a half for an integer",
        tensors({"data": [0.5], "datatype": "INT8"}),
        {},
        422,
        "inputs.0.data.0",
        "a whole number",
    ),
    ("over float32", tensors({"data": [1e39]}), {}, 422, "instances.0.size", "3.403e+38"),
    (
        "1e400",
        b'{"inputs":[{"name":"size","datatype":"FP64","shape":[1],"data":[1e400]}]}',
        {},
        422,
        "inputs.0.data.0",
        "finite",
    ),
    ("a huge negative", tensors(ONE).replace(b"80.5", b"-" + b"9" * 399), {}, 400, None, "no FP64"),
    ("a huge integer", tensors(ONE).replace(b"80.5", b"9" * 400), {}, 400, None, "no FP64"),
    ("no data", tensors({}), {}, 422, "inputs.0.data", "binary_data_size"),
    ("data twice", tensors({**ONE, "parameters": {"binary_data_size": 8}}), {}, 422, "inputs.0.data", "binary"),
    ("a tensor twice", tensors(ONE, ONE), {}, 422, "inputs.size", "twice"),
    ("unequal rows", tensors(ONE, {"name": "rooms", "shape": [2], "data": [1, 2]}), {}, 422, "inputs.1.shape", "[1]"),
    ("an unknown input", tensors({**ONE, "name": "x"}), {}, 422, "inputs.x", "the features are"),
    (
        "a matrix of a mixed model",
        tensors({"name": "x", "shape": [1, 6], "data": [1] * 6}),
        {},
        422,
        "inputs.0",
        "[N, 6]",
    ),
    ("numbers for a category", tensors({**ONE, "name": "colour"}), {}, 422, "instances.0.colour", "text"),
    ("a number for a boolean", tensors({**ONE, "name": "garden"}), {}, 422, "instances.0.garden", "true, false"),
    ("an unknown output", tensors(ONE, outputs=[{"name": "logits"}]), {}, 422, "outputs", "there is no logits"),
    ("three outputs", tensors(ONE, outputs=[{"name": "predictions"}] * 3), {}, 422, "outputs", "0 to 2"),
    (
        "shared memory",
        tensors({**ONE, "parameters": {"shared_memory_region": "x"}}),
        {},
        422,
        "inputs.0.parameters",
        "none of",
    ),
    ("parameters in a list", tensors(ONE, parameters=[]), {}, 422, "parameters", "an object"),
    (
        "binary that is not there",
        tensors({"parameters": {"binary_data_size": 8}}),
        {},
        422,
        "inputs.0.parameters.binary_data_size",
        "at most the 0 bytes",
    ),
    ("a header past the body", tensors(ONE), {HEADER: "9999"}, 400, None, HEADER),
    ("a negative header", tensors(ONE), {HEADER: "-1"}, 400, None, HEADER),
    ("a header of nothing", tensors(ONE), {HEADER: "0"}, 400, None, "empty"),
    ("a header within the JSON", tensors(ONE), {HEADER: "20"}, 400, None, "not JSON"),
    ("another type", tensors(ONE), {"Content-Type": "text/plain"}, 415, None, "application/octet-stream"),
    ("gzip", gzip.compress(tensors(ONE)), {"Content-Encoding": "gzip"}, 415, None, "Content-Encoding"),
]


def with_binary(size: int, piece: bytes, **tensor: Any) -> tuple[bytes, dict[str, str]]:
    head = tensors({"parameters": {"binary_data_size": size}, **tensor})
    return head + piece, {HEADER: str(len(head))}


TEXT = struct.pack("<I", 3) + b"red"
PIECES: list[tuple[str, tuple[bytes, dict[str, str]], int, str | None, str]] = [
    ("too few bytes", with_binary(4, bytes(4)), 422, "inputs.0.data", "8 bytes"),
    ("more than there is", with_binary(16, bytes(8)), 422, "inputs.0.parameters.binary_data_size", "at most the 8"),
    ("bytes that nobody named", with_binary(8, bytes(9)), 422, "inputs", "no 1 bytes more"),
    ("a negative size", with_binary(-8, bytes(8)), 422, "inputs.0.parameters", "a whole number"),
    ("an infinity", with_binary(8, struct.pack("<d", float("inf"))), 422, "instances.0.size", "3.403e+38"),
    ("a boolean of 2", with_binary(1, b"\2", name="garden", datatype="BOOL"), 422, "inputs.0.data", "0 and 1"),
    (
        "a text past the end",
        with_binary(7, b"\xff" + TEXT[1:], name="colour", datatype="BYTES"),
        422,
        "inputs.0.data",
        "1 elements",
    ),
    (
        "two texts for one",
        with_binary(14, TEXT * 2, name="colour", datatype="BYTES"),
        422,
        "inputs.0.data",
        "1 elements",
    ),
    ("half a length", with_binary(2, TEXT[:2], name="colour", datatype="BYTES"), 422, "inputs.0.data", "1 elements"),
    ("bad UTF-8", with_binary(7, TEXT[:4] + b"\xff\xfe\xfd", name="colour", datatype="BYTES"), 400, None, "UTF-8"),
    ("a shape of terabytes", with_binary(8, bytes(8), shape=[1 << 40, 1 << 40]), 422, "inputs.0.data", "bytes"),
    (
        "as many texts",
        with_binary(7, TEXT, shape=[1 << 40], name="colour", datatype="BYTES"),
        422,
        "inputs.0.data",
        "elem",
    ),
]


def check(answer: Any, status: int, path: str | None, words: str) -> None:
    assert answer.status_code == status, answer.text[:2_000]
    assert answer.content_type == MEDIA_TYPE
    problem = answer.json
    assert len(answer.data) < 100_000
    if path is None:
        assert "errors" not in problem
        assert words in problem["detail"], problem["detail"]
    else:
        told = [each for at, each in problem["errors"].items() if at == path or (words == "" and at.startswith(path))]
        assert told, problem["errors"]
        assert words in told[0][0], told


@pytest.mark.parametrize("case", RECORDS, ids=[case[0] for case in RECORDS])
def test_json(there: Caller, case: Any) -> None:
    _, body, *expected = case
    check(there.client.post("/v1/models/houses/predictions", data=body, content_type=JSON), *expected)


@pytest.mark.parametrize("case", TABLES, ids=[case[0] for case in TABLES])
def test_csv(there: Caller, case: Any) -> None:
    _, body, *expected = case
    check(there.client.post("/v1/models/houses/predictions", data=body, content_type=CSV), *expected)


@pytest.mark.parametrize("case", STREAMS, ids=[case[0] for case in STREAMS])
def test_arrow(there: Caller, case: Any) -> None:
    _, body, *expected = case
    check(there.client.post("/v1/models/houses/predictions", data=body, content_type=ARROW), *expected)


@pytest.mark.parametrize("case", INFERENCES, ids=[case[0] for case in INFERENCES])
def test_tensors(there: Caller, case: Any) -> None:
    _, body, headers, *expected = case
    answer = there.client.post("/v2/models/houses/infer", data=body, headers=headers)
    check(answer, *expected)
    assert answer.json["error"] == answer.json["detail"]


@pytest.mark.parametrize("case", PIECES, ids=[case[0] for case in PIECES])
def test_binary_tensors(there: Caller, case: Any) -> None:
    _, (body, headers), *expected = case
    check(there.client.post("/v2/models/houses/infer", data=body, headers=headers), *expected)


@pytest.mark.parametrize(
    ("media", "headers", "words"),
    [
        ("", {}, "application/json"),
        ("text/plain", {}, "application/json"),
        ("application/xml", {}, "application/json"),
        ("application/x-www-form-urlencoded", {}, "application/json"),
        ("multipart/form-data; boundary=x", {}, "application/json"),
        ("application/json; charset=utf-16", {}, "UTF-8"),
        ("text/csv; charset=latin-1", {}, "UTF-8"),
        ("application/json, text/csv", {}, "application/json"),
        (JSON, {"Content-Encoding": "gzip"}, "Content-Encoding"),
        (CSV, {"Content-Encoding": "br"}, "Content-Encoding"),
        (ARROW, {"Content-Encoding": "deflate"}, "Content-Encoding"),
    ],
)
def test_a_body_that_claims_to_be_something_else(there: Caller, media: str, headers: Any, words: str) -> None:
    for body in (GOOD, gzip.compress(GOOD)):
        answer = there.client.post("/v1/models/houses/predictions", data=body, content_type=media, headers=headers)
        check(answer, 415, None, words)


@pytest.mark.parametrize("address", ["/v1/models/houses/predictions", "/v2/models/houses/infer"])
def test_a_body_past_the_limit(there: Caller, address: str) -> None:
    body = b'{"instances": [{"colour": "' + b"x" * (64 << 20) + b'"}]}'
    check(there.client.post(address, data=body, content_type=JSON), 413, None, f"{64 << 20} bytes")


@pytest.mark.parametrize("instances", [[{}, {}], [[None] * 6] * 2, [{"size": None, "colour": None}, {}]])
def test_null_everywhere_is_no_harm(there: Caller, instances: list[Any]) -> None:
    """Whoever knows nothing of a row still gets an answer: missing is a value like others."""
    answer = there.client.post("/v1/models/houses/predictions", json={"instances": instances})
    assert answer.status_code == 200
    assert answer.json["predictions"][0] == answer.json["predictions"][1]
