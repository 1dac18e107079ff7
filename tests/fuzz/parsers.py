"""Every parser of bytes from outside, each as a small function of bytes, with whole bodies to break.

A function answers what the service answers to these bytes; what it must never be is a 5xx.
"""

import io
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service import accept, preconditions
from tests.service.arrow_streams import stream_of

Parse = Callable[[FlaskClient, bytes], TestResponse]

_TABLE = pa.table(
    {
        "a": [1.5, None, -3.25, 1e300],
        "b": pa.array(["x", "y", None, "x"]).dictionary_encode(),
        "c": [True, False, None, True],
        "d": pa.array([0, 1, 2, 3], pa.timestamp("us", "UTC")),
    }
)
_CSV = [
    b"a,b,c,y\n1.5,x,true,p\n,y,false,q\n-3.25,,true,p\n",
    b'\xef\xbb\xbf"a";"b"\r\n"1,5";"x ""y"" z"\r\n2;3\r\n\r\n',
    b"a b  c\n1 2  3\n4 5  6\n",
    b"t\n2026-01-31T12:00:00.5+01:00\n1969-12-31\nNA\n12345678901234567890\n1e-320\n0x10\n",
]
_OPTIONS = [
    b"name=x&types=%7B%22a%22%3A%22categorical%22%7D&missing=NA,%3F&header=true&delimiter=%2C",
    b"types=%7B%22b%22%3A%22datetime%22%7D&header=false&delimiter=%20",
    b"name=%00&missing=,,&delimiter=%09",
]
_JSON = [b'{"instances":[[5.1,3.5,1.4,0.2],[null,1,2,3]],"probabilities":true,"interval":0.9}']
_V2 = {
    "inputs": [
        {"name": "sepal_length", "datatype": "FP64", "shape": [2], "parameters": {"binary_data_size": 16}},
        {"name": "petal_width", "datatype": "INT32", "shape": [2, 1], "parameters": {"binary_data_size": 8}},
    ],
    "outputs": [{"name": "predictions", "parameters": {"binary_data": True}}],
}
_TOKENS = [
    *(b"\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n", b'"'),
    *(b",", b";", b"null", b"NaN", b"1e999", b"-0", b"9" * 40, b"1" * 3000 + b"x", b" " * 3000, b"[" * 40),
    *(b'{"a":' * 40, b"PAR1", b"ARROW1", b"\x1f\x8b", b"%00", b"%ff", b"*/*;q=.2", b'W/"', b"\\u0000", b"\\ud800"),
    b"2026-12-31T23:59:60Z",
]


@dataclass(frozen=True)
class Target:
    seeds: list[bytes]
    parse: Parse


def _upload(media: str) -> Parse:
    return lambda client, data: client.post("/v1/datasets?name=x", data=data, content_type=media)


def _predict(media: str) -> Parse:
    return lambda client, data: client.post("/v1/models/iris/predictions", data=data, content_type=media)


def _options(client: FlaskClient, data: bytes) -> TestResponse:
    query = data.decode("latin-1")
    return client.open("/v1/datasets", method="POST", query_string=query, data=_CSV[0], content_type="text/csv")


def _tensors(client: FlaskClient, data: bytes) -> TestResponse:
    """The first two bytes say how long the JSON is said to be."""
    length = str(int.from_bytes(data[:2], "big"))
    headers = {"Inference-Header-Content-Length": length}
    return client.post("/v2/models/iris/infer", data=data[2:], headers=headers, content_type="application/octet-stream")


def _headers(client: FlaskClient, data: bytes) -> TestResponse:
    text = data.decode("latin-1").translate({10: None, 13: None, 0: None})
    sent = {"Accept": text, "If-Match": text, "If-None-Match": text, "X-Request-Id": text, "Last-Event-ID": text}
    return client.get("/v1/models/iris", headers=sent)


def _parquet() -> list[bytes]:
    found = []
    for options in ({}, {"compression": "NONE", "use_dictionary": False}, {"data_page_version": "2.0"}):
        out = io.BytesIO()
        pq.write_table(_TABLE, out, **options)
        found.append(out.getvalue())
    return found


def _binary() -> bytes:
    head = json.dumps(_V2).encode()
    body = np.array([5.1, 6.7]).tobytes() + struct.pack("<2i", 1, 2)
    return len(head).to_bytes(2, "big") + head + body


def _iris_columns() -> list[bytes]:
    names = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    table = pa.table({name: [5.1, 3.5] for name in names})
    return [stream_of(table), stream_of(table, compression="lz4")]


TARGETS: dict[str, Target] = {
    "csv": Target(_CSV, _upload("text/csv")),
    "csv_options": Target(_OPTIONS, _options),
    "ndjson": Target([b'{"a":1,"b":"x"}\n{"a":null,"b":"y"}\n'], _upload("application/x-ndjson")),
    "parquet": Target(_parquet(), _upload("application/vnd.apache.parquet")),
    "rows_json": Target(_JSON, _predict("application/json")),
    "rows_csv": Target([b"sepal_length,petal_width\n5.1,0.2\n,\n"], _predict("text/csv")),
    "rows_arrow": Target(_iris_columns(), _predict("application/vnd.apache.arrow.stream")),
    "tensors": Target([_binary()], _tensors),
    "headers": Target([b'text/html;q=.2, */*;x="a,b"', b'"abc", W/"d"', b"1"], _headers),
}


def broken(seed: bytes, drawn: random.Random) -> bytes:
    """Return the bytes with one to four things done to them: bits, cuts, copies, and what parsers trip over."""
    data = bytearray(seed)
    for _ in range(drawn.randint(1, 4)):
        at = drawn.randrange(len(data) + 1)
        match drawn.randrange(6):
            case 0 if data:
                data[min(at, len(data) - 1)] ^= 1 << drawn.randrange(8)
            case 1:
                del data[at:]
            case 2:
                del data[at : at + drawn.randint(1, 16)]
            case 3:
                data[at:at] = data[at : at + drawn.randint(1, 64)]
            case 4:
                data[at : at + drawn.choice((0, 1, 4, 8))] = drawn.choice(_TOKENS)
            case _:
                data[at : at + 4] = drawn.randbytes(4)
    return bytes(data)


def pure(data: bytes) -> None:
    """Put the bytes through the parsers that are wholly ours and need no request."""
    text = data.decode("latin-1")
    accept.preferred(text, ("application/json", "text/csv;charset=utf-8"))
    preconditions._parse(text)
