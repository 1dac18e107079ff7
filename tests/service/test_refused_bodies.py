"""JSON is read strictly: what other services let pass in silence is refused, and a mistake is never a 500."""

import gzip
from typing import Any

import pytest

from tests.service.refusals import JSON, House

# What is sent and as what; then the status, the path and words of what is allowed.
BODIES: list[tuple[Any, ...]] = [
    (b"", JSON, 400, None, "empty"),
    (b"{", JSON, 400, None, "not JSON"),
    (b'{"a": 1,}', JSON, 400, None, "line 1"),
    (b"[1]", JSON, 400, None, "JSON object"),
    (b'"text"', JSON, 400, None, "JSON object"),
    (b"null", JSON, 400, None, "JSON object"),
    (b'{"name": "\xff"}', JSON, 400, None, "UTF-8"),
    (b'\xef\xbb\xbf{"name": "x"}', JSON, 400, None, "not JSON"),
    (b"{'a': 1}", JSON, 400, None, "not JSON"),
    (b'{"epochs": NaN}', JSON, 422, "epochs", "finite"),
    (b'{"optimizer": {"learning_rate": Infinity}}', JSON, 422, "optimizer.learning_rate", "finite"),
    (b'{"optimizer": {"betas": [0.9, -Infinity]}}', JSON, 422, "optimizer.betas.1", "finite"),
    (b'{"optimizer": {"learning_rate": 1e400}}', JSON, 422, "optimizer.learning_rate", "finite"),
    (b'{"seed": ' + b"9" * 5_000 + b"}", JSON, 422, "seed", "finite"),
    (b'{"epochs": 1, "epochs": 2}', JSON, 422, "epochs", "twice"),
    (b'{"test": {"fraction": 0.1, "fraction": 0.2}}', JSON, 422, "test.fraction", "twice"),
    (b'{"name": "a\\u0000b"}', JSON, 422, "name", "NUL"),
    (b'{"name": "\\ud800"}', JSON, 422, "name", "surrogate"),
    (b'{"a":' * 17 + b"1" + b"}" * 17, JSON, 422, ".".join("a" * 16), "nesting of at most 16"),
    (b'{"a":' + b"[" * 60_000, JSON, 422, "", "nesting of at most 16"),
    (b'{"name": "' + b"x" * 65_536 + b'"}', JSON, 413, None, "65536 bytes"),
    (b'{"dataset": "x"}', "text/csv", 415, None, "application/json"),
    (b'{"dataset": "x"}', "application/json; charset=utf-16", 415, None, "UTF-8"),
    (b'{"dataset": "x"}', "application/x-www-form-urlencoded", 415, None, "application/json"),
    (b'{"dataset": "x"}', "", 415, None, "application/json"),
]


@pytest.mark.parametrize("address", ["/v1/runs", "/v1/networks"])
@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_not_strict_json_is_refused(house: House, address: str, case: tuple[Any, ...]) -> None:
    body, media, *refusal = case
    house.refuses(tuple(refusal), "POST", address, data=body, content_type=media)


def test_a_json_body_may_not_be_compressed(house: House) -> None:
    sent = {"data": gzip.compress(b"{}"), "content_type": JSON, "headers": {"Content-Encoding": "gzip"}}
    house.refuses((415, None, "Content-Encoding"), "POST", "/v1/runs", **sent)


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        (b'{"instances": [{"petal_length": 1, "petal_length": 2}]}', 422, "instances.0.petal_length"),
        (b'{"instances": [{"petal_length": NaN}]}', 422, "instances.0.petal_length"),
        (b'{"instances": [{"petal_length": 1e400}]}', 422, "instances.0.petal_length"),
        (b'{"instances": [{}], "instances": [{}]}', 422, "instances"),
        (b'{"instances": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", 422, ""),
        (b'{"instances": [', 400, None),
        (b'[{"petal_length": 1}]', 400, None),
        (b"", 400, None),
    ],
)
def test_a_prediction_is_as_strict_as_the_rest(house: House, body: bytes, status: int, path: str | None) -> None:
    address = f"/v1/runs/{house.ids['run']}/predictions"
    house.refuses((status, path, ""), "POST", address, data=body, content_type=JSON)
