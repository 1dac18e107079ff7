"""Models: versions that never change, aliases that move, and predictions by either."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.service.callers import Caller

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.1, 4.7, 1.5], [6.3, 3.3, 6.0, 2.5]]


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture(scope="module")
def flowers(there: Caller, iris: str) -> dict[str, Any]:
    return there.trained(there.dataset(iris), epochs=30, optimizer={"learning_rate": 0.01}, sweep={"seed": [0, 1]})


def test_a_runs_weights_get_a_name(there: Caller, flowers: dict[str, Any]) -> None:
    answer = there.client.post("/v1/models", json={"name": "iris", "run": flowers["id"], "alias": "prod"})
    assert answer.status_code == 201, answer.text
    version = answer.json
    assert (version["name"], version["version"], version["aliases"]) == ("iris", 1, ["prod"])
    assert (version["run"], version["member"]) == (flowers["id"], flowers["best"]["member"])
    assert version["sha256"] == flowers["weights_sha256"]
    by_run = there.client.post(f"/v1/runs/{flowers['id']}/predictions", json={"instances": ROWS}).json
    for ref in ("iris", "iris:1", "iris@prod"):
        found = there.client.post(f"/v1/models/{ref}/predictions", json={"instances": ROWS})
        assert found.status_code == 200, found.text
        assert found.json["predictions"] == by_run["predictions"]
        assert found.json["model"] == "iris:1"
    shown = there.client.get("/v1/models/iris").json
    assert (shown["latest"], shown["aliases"]) == (1, {"prod": 1})
    assert shown["versions"] == [version]
    assert there.client.get("/v1/models").json["data"] == [shown]
