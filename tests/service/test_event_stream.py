"""The events of a run as a stream: the same as the list, live, ended once, and rejoined without a gap."""

import threading
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service import stopping, streaming
from store import events, runs, tenants
from store.database import Database
from store.errors import Busy
from tests.service.callers import Caller
from tests.service.streamed import Message, messages

STREAM = {"Accept": "text/event-stream"}


def stream(caller: Caller, run: str, query: str = "", **headers: str) -> TestResponse:
    return caller.client.get(f"/v1/runs/{run}/events{query}", headers={**STREAM, **headers}, buffered=False)


def heard(caller: Caller, run: str, query: str = "", **headers: str) -> list[Message]:
    with stream(caller, run, query, **headers) as answer:
        assert answer.status_code == 200, answer.text
        return list(messages(answer.iter_encoded()))


def listed(caller: Caller, run: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = caller.get(f"/v1/runs/{run}/events?limit=1000")["data"]
    return found


def tell(caller: Caller, run: str, count: int = 1) -> None:
    with caller.parts.database.write() as tx:
        for _ in range(count):
            events.append(tx, run, "run.checkpointed", {"epoch": 1})


@pytest.fixture
def free(caller: Caller) -> Any:
    """How many places are free."""
    return lambda: caller.parts.streams._free._value


def test_a_run_that_has_ended_is_told_whole_and_ended_once(caller: Caller, iris: str) -> None:
    run = caller.trained(caller.dataset(iris))["id"]
    *told, end = heard(caller, run)
    assert [message.data for message in told] == listed(caller, run)
    assert [message.id for message in told] == [str(each["seq"]) for each in listed(caller, run)]
    assert [message.event for message in told] == [each["type"] for each in listed(caller, run)]
    assert (end.event, end.data, end.id) == ("end", {"status": "succeeded"}, told[-1].id)


def test_it_is_sent_so_that_nobody_on_the_way_keeps_it(caller: Caller, iris: str) -> None:
    run = caller.run(caller.dataset(iris))["id"]
    caller.client.post(f"/v1/runs/{run}/cancel")
    with stream(caller, run) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert answer.headers["X-Request-Id"]
        assert answer.data.startswith(b"retry: 1000\n\nid: 1\nevent: run.queued\ndata: {")


def test_browser_does_not_ask_again_for_an_hour_after_the_end(caller: Caller, iris: str) -> None:
    run = caller.run(caller.dataset(iris))["id"]
    caller.client.post(f"/v1/runs/{run}/cancel")
    with stream(caller, run) as answer:
        told, end = answer.data.split(b"retry: 3600000\n\n")
    assert told.startswith(b"retry: 1000\n\n")
    assert end == b'event: end\ndata: {"status":"cancelled"}\n\n'


def test_what_there_is_comes_first_and_what_happens_comes_then(caller: Caller, iris: str) -> None:
    run = caller.run(caller.dataset(iris))["id"]
    with stream(caller, run) as answer:
        coming = messages(answer.iter_encoded())
        assert next(coming).event == "run.queued"
        for _ in range(3):
            tell(caller, run)
            assert next(coming).event == "run.checkpointed"
        caller.client.post(f"/v1/runs/{run}/pause")
        assert next(coming).event == "run.paused"
        caller.client.post(f"/v1/runs/{run}/cancel")
        assert [message.event for message in coming] == ["run.cancelled", "end"]


def test_more_events_than_are_read_at_once_come_all(caller: Caller, iris: str) -> None:
    run = caller.run(caller.dataset(iris))["id"]
    tell(caller, run, 1200)
    caller.client.post(f"/v1/runs/{run}/cancel")
    *told, _ = heard(caller, run)
    assert [message.id for message in told] == [str(seq) for seq in range(1, 1203)]


def test_whoever_comes_back_is_told_the_rest_alone(caller: Caller, iris: str) -> None:
    run = caller.run(caller.dataset(iris))["id"]
    tell(caller, run, 3)
    caller.client.post(f"/v1/runs/{run}/cancel")
    for query, headers in [("?after=2", {}), ("", {"Last-Event-ID": "2"}), ("?after=1", {"Last-Event-ID": "2"})]:
        assert [message.id for message in heard(caller, run, query, **headers)] == ["3", "4", "5", "5"]
    assert [message.event for message in heard(caller, run, **{"Last-Event-ID": "5"})] == ["end"]
    assert len(heard(caller, run, **{"Last-Event-ID": ""})) == 6, "as the standard's, an empty one is none"


@pytest.mark.parametrize("seen", ["x", "-1", "1.5", "1 2", "run_1", "9" * 10])
def test_a_malformed_place_is_named(caller: Caller, iris: str, seen: str) -> None:
    run = caller.run(caller.dataset(iris))["id"]
    refused = stream(caller, run, **{"Last-Event-ID": seen})
    assert (refused.status_code, list(refused.json["errors"])) == (422, ["Last-Event-ID"])
    refused = stream(caller, run, f"?after={seen}")
    assert (refused.status_code, list(refused.json["errors"])) == (422, ["after"])


def test_a_run_that_was_extended_goes_on_past_its_first_end(caller: Caller, iris: str) -> None:
    run = caller.run(caller.dataset(iris))["id"]
    with caller.parts.database.write() as tx:
        for type in ("run.succeeded", "run.extended"):
            events.append(tx, run, type, {})
    with stream(caller, run) as answer:
        coming = messages(answer.iter_encoded())
        assert [next(coming).event for _ in range(3)] == ["run.queued", "run.succeeded", "run.extended"]
        caller.client.post(f"/v1/runs/{run}/cancel")
        assert [message.event for message in coming] == ["run.cancelled", "end"]


def test_the_stream_of_a_run_that_is_deleted_ends(caller: Caller, iris: str) -> None:
    run = caller.run(caller.dataset(iris))["id"]
    with stream(caller, run) as answer:
        coming = messages(answer.iter_encoded())
        next(coming)
        with caller.parts.database.write() as tx:
            runs.request(tx, tenants.LOCAL, run, "cancel")
            runs.delete(tx, tenants.LOCAL, run)
        assert [(message.event, message.data) for message in coming] == [("end", {"status": "deleted"})]


@pytest.mark.parametrize(
    ("accept", "status", "media"),
    [
        ("", 200, "application/json"),
        ("*/*", 200, "application/json"),
        ("application/json", 200, "application/json"),
        ("application/*", 200, "application/json"),
        ("application/json, text/event-stream", 200, "application/json"),
        ("application/json, text/event-stream;q=0.9", 200, "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200, "application/json"),
        ("*/*, text/event-stream;q=0.5", 200, "application/json"),
        ("text/event-stream;q=0, */*", 200, "application/json"),
        ("text/event-stream", 200, "text/event-stream"),
        ("text/event-stream, */*", 200, "text/event-stream"),
        ("text/event-stream, */*;q=0.1", 200, "text/event-stream"),
        ("application/json;q=0.5, text/event-stream", 200, "text/event-stream"),
        ("text/*", 200, "text/event-stream"),
        ("text/html", 406, "application/problem+json"),
        ("text/event-stream;q=0", 406, "application/problem+json"),
        ("application/xml, image/png", 406, "application/problem+json"),
    ],
)
def test_the_form_is_the_one_asked_for(caller: Caller, iris: str, accept: str, status: int, media: str) -> None:
    run = caller.run(caller.dataset(iris))["id"]
    caller.client.post(f"/v1/runs/{run}/cancel")
    answer = caller.client.get(f"/v1/runs/{run}/events", headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (status, media)


def test_no_more_streams_are_open_than_there_are_places(new_caller: Any, iris: str) -> None:
    caller = new_caller(max_streams=2)
    run = caller.run(caller.dataset(iris))["id"]
    first, second = stream(caller, run), stream(caller, run)
    refused = stream(caller, run)
    assert (refused.status_code, refused.mimetype) == (503, "application/problem+json")
    assert int(refused.headers["Retry-After"]) >= 1
    assert len(listed(caller, run)) == 1, "the list has places enough"
    next(messages(first.iter_encoded()))
    first.close()
    third = stream(caller, run)
    assert third.status_code == 200
    for each in (second, third):
        each.close()


def test_a_place_is_given_back_however_the_stream_ends(caller: Caller, iris: str, free: Any) -> None:
    run, all_of_them = caller.run(caller.dataset(iris))["id"], free()
    assert stream(caller, run, "?no_such=1").status_code == 422
    assert stream(caller, "run_" + "0" * 26).status_code == 404
    stream(caller, run).close()  # before anything was read
    answer = stream(caller, run)
    next(messages(answer.iter_encoded()))
    assert free() == all_of_them - 1
    answer.close()
    answer.close()
    caller.client.head(f"/v1/runs/{run}/events", headers=STREAM).close()
    caller.client.post(f"/v1/runs/{run}/cancel")
    heard(caller, run)
    assert free() == all_of_them


def test_whoever_is_silent_says_now_and_then_that_it_lives(
    caller: Caller, iris: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_SILENT_SECONDS", 0.3)
    run = caller.run(caller.dataset(iris))["id"]
    with stream(caller, run) as answer:
        sent = [piece for _, piece in zip(range(12), answer.iter_encoded(), strict=False)]
    assert sent[0].startswith(b"retry:")
    assert set(sent[1:]) == {b"", b": alive\n\n"}


def test_the_stream_outlives_a_database_that_is_away(
    caller: Caller, iris: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = caller.run(caller.dataset(iris))["id"]

    def away(_: Database) -> Any:
        raise Busy

    with stream(caller, run) as answer:
        pieces = answer.iter_encoded()
        next(pieces)
        with monkeypatch.context() as broken:
            broken.setattr(Database, "read", away)
            assert [next(pieces), next(pieces)] == [b"", b""]
        caller.client.post(f"/v1/runs/{run}/cancel")
        assert [message.event for message in messages(pieces)] == ["run.cancelled", "end"]


def test_the_stream_ends_when_the_process_is_asked_to_stop(
    caller: Caller, iris: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    monkeypatch.setattr(stopping, "asked", asked)
    run = caller.run(caller.dataset(iris))["id"]
    with stream(caller, run) as answer:
        pieces = answer.iter_encoded()
        assert next(messages(pieces)).event == "run.queued"
        asked.set()
        assert list(messages(pieces)) == [], "the run has not ended: whoever listens is to come back"


def test_a_stream_asks_for_the_key_that_the_list_asks_for(new_caller: Any, iris: str) -> None:
    caller = new_caller()
    run = caller.run(caller.dataset(iris))["id"]
    caller.client.post(f"/v1/runs/{run}/cancel")
    from store import keys

    with caller.parts.database.write() as tx:
        mine = keys.create(tx, tenants.LOCAL, ["read"])
        others = keys.create(tx, tenants.create(tx, "acme"), ["read"])
        writing = keys.create(tx, tenants.LOCAL, ["write"])
    statuses = [
        stream(caller, run, **({"Authorization": f"Bearer {key}"} if key else {})).status_code
        for key in (None, writing, others, mine)
    ]
    assert statuses == [401, 403, 404, 200]


def test_the_document_tells_of_both_forms(caller: Caller) -> None:
    operation = caller.get("/openapi.json")["paths"]["/v1/runs/{id}/events"]["get"]
    assert operation["responses"]["200"]["content"].keys() == {"application/json", "text/event-stream"}
    assert "Last-Event-ID" in {each["name"] for each in operation["parameters"]}
    assert "406" in operation["responses"]
