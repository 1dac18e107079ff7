"""The service tells of itself: whether it lives, whether it can work, and its figures."""

import io
import json
import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from service.app import create_app
from store import networks
from store.logs import write_logs
from store.settings import Settings
from tests.service.callers import Caller


def test_a_process_that_answers_lives(caller: Caller) -> None:
    assert caller.get("/healthz") == {"status": "ok"}
    assert caller.client.get("/healthz", headers={"Host": "anything.example"}).status_code == 200


def test_readiness_names_database_blobs_and_broker(caller: Caller) -> None:
    told = caller.get("/readyz")
    ages = told.pop("seconds_ago")
    assert told == {"status": "ready", "database": "ok", "blobs": "ok", "broker": "unreachable"}
    assert all(0 <= ages[name] < 1 for name in ("database", "blobs", "broker"))


def test_without_its_tables_it_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    app = create_app(Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path / 'empty.db'}"))
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.json["database"], answer.json["blobs"]) == (503, "unreachable", "ok")
    app.extensions["learnd"].database.close()


def test_without_its_blobs_it_is_not_ready(new_caller: Callable[..., Caller]) -> None:
    caller = new_caller()
    blobs = caller.parts.settings.data_dir / "blobs"
    shutil.rmtree(blobs)
    blobs.write_text("a file where the folder was")
    answer = caller.client.get("/readyz")
    assert (answer.status_code, answer.json["blobs"], answer.json["database"]) == (503, "unreachable", "ok")


def test_figures_are_counted_in_the_database(caller: Caller, iris: str) -> None:
    dataset = caller.dataset(iris)
    for _ in range(3):
        caller.run(dataset, epochs=1)
    caller.train()
    batch = {"model": "flowers", "dataset": dataset}
    caller.client.post("/v1/models", json={"name": "flowers", "run": caller.get("/v1/runs")["data"][0]["id"]})
    assert caller.client.post("/v1/batch-predictions", json=batch).status_code == 202
    caller.run(dataset)
    text = caller.client.get("/metrics").text
    lines = text.splitlines()
    assert 'learnd_runs{status="succeeded"} 3.0' in lines
    assert 'learnd_runs{status="queued"} 1.0' in lines
    assert 'learnd_runs{status="failed"} 0.0' in lines
    assert 'learnd_batch_predictions{status="queued"} 1.0' in lines
    assert 'learnd_batch_predictions{status="failed"} 0.0' in lines
    assert 'learnd_queue_length{queue="cpu"} 1.0' in lines
    assert "learnd_datasets 1.0" in lines
    assert caller.client.get("/metrics").content_type.startswith("text/plain")


@pytest.mark.parametrize("address", ["/docs", "/docs/", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"])
def test_the_documents_are_served_without_another_host(caller: Caller, address: str) -> None:
    with caller.client.get(address) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
        if address.startswith("/docs") and answer.mimetype == "text/html":
            assert '"validatorUrl": null' in answer.text
            assert "https://" not in answer.text


def test_the_root_leads_to_the_documents(caller: Caller) -> None:
    answer = caller.client.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/docs")


@pytest.mark.parametrize(("asked", "kept"), [("abc-123", True), ("a\tb", False), ("x" * 129, False), ("", False)])
def test_a_sane_request_id_is_kept(caller: Caller, asked: str, kept: bool) -> None:
    for address in ("/healthz", "/v1/runs", "/nothing"):
        answered = caller.client.get(address, headers={"X-Request-Id": asked}).headers["X-Request-Id"]
        assert (answered == asked) is kept
        assert answered


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log as a server writes it."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", io.StringIO())
        stderr = sys.stderr
        write_logs("info")
    yield stderr
    logging.captureWarnings(False)
    structlog.configure(**before)
    root.handlers, root.level = handlers, level


def test_what_goes_wrong_with_us_is_told_to_the_log_alone(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, logged: io.StringIO
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail\nwith a line of its own")

    monkeypatch.setattr(networks, "page", broken)
    answer = caller.client.get("/v1/networks", headers={"X-Request-Id": "the-id"})
    assert (answer.status_code, answer.json["request_id"]) == (500, "the-id")
    assert "secret" not in answer.text
    (told,) = [line for line in map(json.loads, logged.getvalue().splitlines()) if line["event"] == "request failed"]
    assert told["request_id"] == "the-id"
    assert "secret detail" in told["exception"]
