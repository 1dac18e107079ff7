"""Asking for an analysis: when it is made, when there is nothing to make, and what is told when it could not be."""

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.bell import Bell
from store import analysing
from store.processes import ProcessIdentity
from tests.service.callers import Caller

KINDS = ("evaluation", "importance")


@pytest.fixture
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture
def run(there: Caller, iris: str) -> dict[str, Any]:
    return there.trained(there.dataset(iris), epochs=1, test={"fraction": 0.2})


def ask(there: Caller, run: dict[str, Any], kind: str, query: str = "") -> TestResponse:
    return there.client.get(f"/v1/runs/{run['id']}/{kind}{query}")


def claim(there: Caller) -> analysing.Claim:
    here = ProcessIdentity.current()
    with there.parts.database.write() as tx:
        found = analysing.claim(tx, worker="wk_1", slot_pid=here.pid, owner=here)
    assert found is not None
    return found


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(Bell, "ring", lambda _bell, _queue, run: found.append(run))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_to_ask_rings_and_all_are_told_to_wait(
    there: Caller, run: dict[str, Any], rung: list[str], kind: str
) -> None:
    for _ in range(3):
        answer = ask(there, run, kind)
        assert (answer.status_code, answer.headers["Retry-After"]) == (202, "1")
        assert answer.json == {"object": kind, "run": run["id"], "split": "test", "status": "pending"}
    assert rung == [run["id"]]
    work = claim(there)
    assert ask(there, run, kind).json["status"] == "running"
    with there.parts.database.write() as tx:
        analysing.finish(tx, work, {"rows": 30})
    for query in ("", "?split=test"):
        answer = ask(there, run, kind, query)
        assert (answer.status_code, "Retry-After" in answer.headers) == (200, False)
        assert answer.json == {"object": kind, "run": run["id"], "split": "test", "rows": 30}
    assert rung == [run["id"]]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_of_the_test_rows_where_there_are_some_else_of_the_validation_rows(
    there: Caller, run: dict[str, Any], iris: str, kind: str
) -> None:
    assert ask(there, run, kind, "?split=validation").json["split"] == "validation"
    without = there.trained(there.dataset(iris), epochs=1)
    assert ask(there, without, kind).json["split"] == "validation"
    refused = ask(there, without, kind, "?split=test")
    assert (refused.status_code, "test split of this run has no rows" in refused.json["detail"]) == (404, True)
    bare = there.trained(there.dataset(iris), epochs=1, validation=None)
    assert ask(there, bare, kind).status_code == ask(there, bare, kind, "?split=validation").status_code == 404


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_has_kept_nothing_says_why(there: Caller, iris: str, kind: str) -> None:
    queued = there.run(there.dataset(iris), test={"fraction": 0.2})
    assert (ask(there, queued, kind).status_code, "is queued" in ask(there, queued, kind).json["detail"]) == (409, True)
    there.client.post(f"/v1/runs/{queued['id']}/cancel")
    assert "is cancelled" in ask(there, queued, kind).json["detail"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_could_not_be_made_is_told_with_its_code(there: Caller, run: dict[str, Any], kind: str) -> None:
    ask(there, run, kind)
    work = claim(there)
    with there.parts.database.write() as tx:
        analysing.fail(tx, work, "out_of_memory", "it needs more memory than this machine has")
    for _ in range(2):
        answer = ask(there, run, kind)
        assert (answer.status_code, answer.content_type) == (409, "application/problem+json")
        assert answer.json["code"] == "out_of_memory"
        assert answer.json["detail"] == "It could not be made: it needs more memory than this machine has."


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_dataset_nothing_new_is_made(
    there: Caller, run: dict[str, Any], rung: list[str], kind: str
) -> None:
    ask(there, run, kind)
    work = claim(there)
    assert there.client.delete(f"/v1/datasets/{run['dataset']}").status_code == 204
    with there.parts.database.write() as tx:
        analysing.finish(tx, work, {"rows": 30})
    assert ask(there, run, kind).json["rows"] == 30
    answer = ask(there, run, kind, "?split=validation")
    assert (answer.status_code, answer.json["code"]) == (409, "dataset_missing")
    assert rung == [run["id"]]


def test_a_run_may_be_deleted_while_it_is_analysed(there: Caller, run: dict[str, Any]) -> None:
    ask(there, run, "evaluation")
    claim(there)
    ask(there, run, "importance")
    assert there.client.delete(f"/v1/runs/{run['id']}").status_code == 204
    assert ask(there, run, "evaluation").status_code == 404
