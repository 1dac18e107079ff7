"""A cursor goes on in the list that gave it, and is refused by every other one."""

from collections.abc import Callable

import pytest

from tests.service.callers import Caller

RUN_LISTS = ("metrics", "members", "members?sort=value", "events")


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller], iris: str) -> tuple[Caller, dict[str, str]]:
    """Every list, each with more than one thing in it, and its cursor after the first."""
    caller = new_caller()
    datasets = [caller.dataset(iris) for _ in range(2)]
    ids = [caller.trained(datasets[0], epochs=2, sweep={"seed": [0, 1, 2]})["id"] for _ in range(2)]
    for body in ({"name": "small", "layers": []}, {"layers": []}):
        assert caller.client.post("/v1/networks", json=body).status_code == 201
    for name in ("iris", "flower"):
        for _ in range(2):
            assert caller.client.post("/v1/models", json={"name": name, "run": ids[0]}).status_code == 201
        body = {"model": name, "dataset": datasets[0]}
        assert caller.client.post("/v1/batch-predictions", json=body).status_code == 202
    lists = [f"/v1/{noun}" for noun in ("datasets", "networks", "runs", "models", "batch-predictions")]
    lists += ["/v1/models/iris/versions", "/v1/models/flower/versions"]
    lists += [f"/v1/runs/{id}/{each}" for id in ids for each in RUN_LISTS]
    cursors = {}
    for address in lists:
        page = caller.get(_asked(address, "limit=1"))
        assert page["has_more"] is True, address
        cursors[address] = page["next"]
    return caller, cursors


def test_cursor_of_another_list_is_refused(there: tuple[Caller, dict[str, str]]) -> None:
    caller, cursors = there
    for given, cursor in cursors.items():
        for asked in cursors:
            answer = caller.client.get(_asked(asked, f"after={cursor}"))
            if asked == given or (asked.endswith("/events") and given.endswith("/events")):
                assert answer.status_code == 200, (given, asked)  # of events it is a seq, whosever they are
            else:
                assert answer.status_code == 422, (given, asked, answer.text)
                assert list(answer.json["errors"]) == ["after"]


def test_cursors_lead_through_every_list_once(there: tuple[Caller, dict[str, str]]) -> None:
    caller, cursors = there
    for address in cursors:
        whole = caller.get(_asked(address, "limit=1000"))
        assert (whole["has_more"], whole["next"]) == (False, None)
        found, after = [], ""
        while after is not None:
            page = caller.get(_asked(address, f"limit=1{after and '&after='}{after}"))
            found += page["data"]
            after = page["next"]
        assert len(found) == len(whole["data"]) > 1
        assert found == whole["data"]


def test_cursor_fits_whatever_filter_the_list_has(there: tuple[Caller, dict[str, str]]) -> None:
    caller, cursors = there
    for query in ("status=succeeded", "status=failed"):
        assert caller.client.get(f"/v1/runs?{query}&after={cursors['/v1/runs']}").status_code == 200
    metrics = next(address for address in cursors if address.endswith("/metrics"))
    for query in ("member=1", "split=train", "name=loss", "points=10"):
        assert caller.client.get(f"{metrics}?{query}&after={cursors[metrics]}").status_code == 200


def _asked(address: str, query: str) -> str:
    return f"{address}{'&' if '?' in address else '?'}{query}"
