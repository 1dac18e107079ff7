"""`Accept`, wherever a form of an answer is chosen: RFC 9110, 12.5.1, and what real clients send beside it."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from service import accept
from service.problems import NotAcceptable
from tests.service.callers import Caller

JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"
STREAM, PARQUET = "text/event-stream", "application/vnd.apache.parquet"
OPENMETRICS = "application/openmetrics-text"
FORMS = (JSON, CSV, ARROW)


@pytest.mark.parametrize(
    ("header", "form"),
    [
        (None, JSON),
        ("", JSON),
        (" , ,", JSON),
        ("*/*", JSON),
        ("*", JSON),
        (JAVA, JSON),
        (f"{JAVA}, text/csv;q=.3", CSV),
        ("text/csv", CSV),
        ("TEXT/CSV", CSV),
        ("text/csv;header=present", CSV),
        ("text/csv; charset=utf-8; header=absent", CSV),
        ('text/csv;header="a,b;q=0"', CSV),
        ('text/csv;header="a\\"b, application/json"', CSV),
        ("text/*", CSV),
        ("application/*", JSON),
        ("application/json; charset=utf-8", JSON),
        ("application/json;charset=UTF-8, text/csv;q=0.9", JSON),
        ("text/csv, */*", CSV),  # alike, but named
        ("text/csv, application/json", JSON),  # alike and named both: the first of ours
        ("application/json;q=0.5, text/csv;q=.6", CSV),
        ("application/json;q=0.5, text/csv;Q=0.6", CSV),
        ("application/json ; q = 0.5 , text/csv ; q = 0.6", CSV),
        ("text/csv;q=1., application/json;q=0.999", CSV),
        ("text/csv;q=0.2, */*;q=0.1", CSV),
        ("*/*, application/json;q=0", CSV),
        ("*/*, application/json;q=0.000, text/csv;q=0", ARROW),
        ("application/*;q=0, text/csv;q=0.001", CSV),
        ("*/*;q=0.1, text/*;q=0", JSON),
        ("text/csv;q=high", CSV),  # a weight that cannot be read counts as none
        ("text/csv;q=1e9, application/json;q=0.9", CSV),
        ("text/csv;q=7, application/json", JSON),
        ("text/csv;q=0.5;ext=1, application/json;q=0.4", CSV),
        ("nonsense, text/csv", CSV),
        (";;;, text/csv", CSV),
        ('"text/csv, application/json', None),
        ("image/png", None),
        ("application/json;q=0", None),
        ("*/*;q=0", None),
        ("*;q=.0", None),
        ("text/html, application/xhtml+xml", None),
        ("application/jso", None),
        ("*/json", None),
    ],
)
def test_form_is_the_preferred_one(header: str | None, form: str | None) -> None:
    if form is None:
        with pytest.raises(NotAcceptable, match="application/json or text/csv"):
            accept.choose(header, FORMS)
    else:
        assert accept.choose(header, FORMS) == form


@pytest.mark.parametrize(
    ("header", "version"),
    [
        ("text/plain;version=0.0.4", "0.0.4"),
        ("text/plain;version=1.0.0", "1.0.0"),
        ('text/plain;version="1.0.0";charset=utf-8', "1.0.0"),
        ("text/plain;version=2", None),
        ("text/plain;charset=latin-1", None),
    ],
)
def test_parameter_that_a_form_has_must_agree(header: str, version: str | None) -> None:
    forms = [f"text/plain; version={each}; charset=utf-8" for each in ("0.0.4", "1.0.0")]
    found = accept.preferred(header, forms)
    assert (found and found.split(";")[1]) == (version and f" version={version}")


@pytest.mark.parametrize(
    "shape",
    [
        lambda n: "," * n,
        lambda n: ";" * n,
        lambda n: '"' * n,
        lambda n: '"' + '\\"' * (n // 2),
        lambda n: "a/b;x=" + '"' + "\\" * n,
        lambda n: " " * n,
        lambda n: "text/csv;q=0." + "1" * n,
        lambda n: "a/b," * (n // 4),
        lambda n: "text/csv" + ";a=b" * (n // 4),
        lambda n: 'a/b;c="' * (n // 7),
        lambda n: "*/" * (n // 2),
    ],
)
def test_time_grows_with_the_length_alone(shape: Callable[[int], str]) -> None:
    def seconds(length: int) -> float:
        header, took = shape(length), []
        for _ in range(5):
            begun = time.perf_counter()
            accept.preferred(header, FORMS)
            took.append(time.perf_counter() - begun)
        return min(took)

    # Sixteen times as long may take sixteen times as long; with a square it would be 256 times.
    assert seconds(160_000) < 60 * max(seconds(10_000), 1e-4)


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller], iris: str) -> dict[str, Any]:
    caller = new_caller()
    dataset = caller.dataset(iris)
    run = caller.trained(dataset, epochs=1)["id"]
    caller.client.post("/v1/models", json={"name": "iris", "run": run})
    batch = caller.client.post("/v1/batch-predictions", json={"model": "iris", "dataset": dataset}).json["id"]
    caller.predict_batches()
    return {"caller": caller, "run": run, "batch": batch}


@pytest.mark.parametrize(
    ("method", "path", "header", "media"),
    [
        ("POST", "/v1/models/iris/predictions", JAVA, JSON),
        ("POST", "/v1/runs/{run}/predictions", "application/json;q=.2, text/csv;header=present", CSV),
        ("POST", "/v1/runs/{run}/predictions", "application/json;charset=utf-8", JSON),
        ("POST", "/v1/runs/{run}/predictions", "image/png", None),
        ("GET", "/v1/runs/{run}/events", JAVA, JSON),
        ("GET", "/v1/runs/{run}/events", "text/event-stream;charset=utf-8", STREAM),
        ("GET", "/v1/runs/{run}/events", "text/event-stream, */*;q=.1", STREAM),
        ("GET", "/v1/runs/{run}/events", "text/*", STREAM),
        ("GET", "/v1/runs/{run}/events", "application/json, text/event-stream", JSON),
        ("GET", "/v1/runs/{run}/events", "text/event-stream;q=0", None),
        ("GET", "/v1/batch-predictions/{batch}/result", JAVA, PARQUET),
        ("GET", "/v1/batch-predictions/{batch}/result", "text/csv;header=present", CSV),
        ("GET", "/v1/batch-predictions/{batch}/result", "application/json", None),
        ("GET", "/metrics", None, "text/plain; version=0.0.4"),
        ("GET", "/metrics", JAVA, "text/plain; version=0.0.4"),
        ("GET", "/metrics", "text/plain;version=0.0.4", "text/plain; version=0.0.4"),
        ("GET", "/metrics", "text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=1.0.0"),
        ("GET", "/metrics", f"{OPENMETRICS};version=1.0.0, text/plain;q=0.5", f"{OPENMETRICS}; version=1.0.0"),
        ("GET", "/metrics", f"{OPENMETRICS};version=0.0.1,*/*;q=0.1", f"{OPENMETRICS}; version=0.0.1"),
        ("GET", "/metrics", f"{OPENMETRICS};q=0, */*", "text/plain; version=0.0.4"),
        ("GET", "/metrics", "application/json", "text/plain; version=0.0.4"),  # a scraper gets what it can read
    ],
)
def test_every_address_chooses_alike(
    there: dict[str, Any], method: str, path: str, header: str | None, media: str | None
) -> None:
    sent = {"json": {"instances": [[5.1, 3.5, 1.4, 0.2]]}} if method == "POST" else {}
    headers = {} if header is None else {"Accept": header}
    answer = there["caller"].client.open(path.format(**there), method=method, headers=headers, **sent)
    if media is None:
        assert (answer.status_code, answer.content_type) == (406, "application/problem+json")
    else:
        assert answer.status_code == 200
        assert answer.content_type.startswith(media)
        assert answer.data.rstrip().endswith(b"# EOF") == media.startswith(OPENMETRICS)
