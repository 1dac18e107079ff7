"""Going on and doing again, through the whole service: the weights are those of a run that was asked for it at once."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.running import IRIS, LONG, Service, wait_for

RUNS = {
    "alone": {"seed": 3, "test": {"fraction": 0.2}, "early_stopping": {"patience": 15}},
    "population": {"sweep": {"optimizer.learning_rate": [0.001, 0.01], "seed": [0, 1, 2, 3]}},
    "folds": {"validation": {"folds": 3}, "sweep": {"seed": [0, 1]}},
}
FINALS = ("run.succeeded", "run.failed", "run.cancelled")
# No loss is ever so much better than the first epoch's.
IMPATIENT = {"early_stopping": {"patience": 3, "min_delta": 100.0}, "epochs": 200}


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Another installation, which has the file and nothing else."""
    service = Service(tmp_path_factory.mktemp("second"))
    service.warm()
    service.upload(IRIS.read_bytes(), "another name")
    yield service
    assert service.stop() == 0


def succeeded(service: Service, id: str) -> dict[str, Any]:
    run = service.ended(id)
    assert run["status"] == "succeeded", run["error"]
    return run


def extended(service: Service, id: str, to_epochs: int) -> dict[str, Any]:
    service.post(f"/v1/runs/{id}/extend", json={"to_epochs": to_epochs})
    return succeeded(service, id)


def curves(service: Service, id: str) -> list[dict[str, Any]]:
    page = service.client.get(f"/v1/runs/{id}/metrics", params={"limit": 1000}).raise_for_status().json()
    assert not page["has_more"]
    return page["data"]


def what_came_of(run: dict[str, Any]) -> dict[str, Any]:
    kept = ("weights_sha256", "metrics", "best", "rows", "warnings")
    members = [{name: each[name] for name in ("epoch", "best", "last", "weights_sha256")} for each in run["members"]]
    return {name: run[name] for name in kept} | {"members": members, "epoch": run["progress"]["epoch"]}


def replayed(first: Service, second: Service, id: str) -> dict[str, Any]:
    receipt = first.client.get(f"/v1/runs/{id}/receipt").raise_for_status().json()
    return succeeded(second, second.post("/v1/replays", json=receipt)["id"])


@pytest.mark.parametrize("spec", RUNS.values(), ids=RUNS)
def test_ten_epochs_and_ten_more_are_twenty(service: Service, second: Service, iris: str, spec: dict[str, Any]) -> None:
    straight = succeeded(service, service.start(iris, epochs=20, **spec))
    id = service.start(iris, epochs=10, **spec)
    ten = succeeded(service, id)
    twenty = extended(service, id, 20)
    assert ten["weights_sha256"] is not None
    assert what_came_of(twenty) == what_came_of(straight)
    assert curves(service, id) == curves(service, straight["id"])
    events = service.events(id)
    told = [event["data"]["epoch"] for event in events if event["type"] == "run.progress"]
    assert told == sorted(set(told))
    types = [event["type"] for event in events if event["type"] in (*FINALS, "run.extended")]
    assert types == ["run.succeeded", "run.extended", "run.succeeded"]
    again = replayed(service, second, id)
    assert again["replay"] == {"of": id, "identical": True}
    assert what_came_of(again) == what_came_of(straight)


def test_whose_patience_ended_begins_to_be_patient_anew(service: Service, second: Service, iris: str) -> None:
    id = service.start(iris, **IMPATIENT)
    assert succeeded(service, id)["progress"]["epoch"] == 4
    went_on = extended(service, id, 200)
    assert went_on["progress"]["epoch"] == 7
    receipt = service.client.get(f"/v1/runs/{id}/receipt").json()
    assert (receipt["legs"], receipt["epochs"]) == ([4], 7)
    again = replayed(service, second, id)
    assert again["replay"] == {"of": id, "identical": True}
    assert what_came_of(again) == what_came_of(went_on)


def test_a_run_that_was_stopped_goes_on_to_its_end_and_is_repeated_as_it_was(
    service: Service, second: Service, iris: str
) -> None:
    id = service.start(iris, epochs=3000, seed=4)
    service.in_mid_run(id)
    service.post(f"/v1/runs/{id}/stop")
    stopped = succeeded(service, id)
    epoch = stopped["progress"]["epoch"]
    assert epoch < 3000
    again = replayed(service, second, id)
    assert again["replay"] == {"of": id, "identical": True}
    assert what_came_of(again) == what_came_of(stopped)
    straight = succeeded(service, service.start(iris, epochs=epoch + 5, seed=4))
    assert what_came_of(extended(service, id, epoch + 5)) == what_came_of(straight)


def test_a_worker_that_is_killed_while_a_run_goes_on_changes_no_bit(
    service: Service, iris: str, quiet_hash: str
) -> None:
    id = service.start(iris, **LONG | {"epochs": 5})
    five = succeeded(service, id)
    kept = service.client.get(f"/v1/runs/{id}/weights").content
    service.post(f"/v1/runs/{id}/extend", json={"to_epochs": LONG["epochs"]})
    wait_for(lambda: service.run(id)["progress"]["epoch"] > 5)
    going = service.run(id)
    assert service.client.get(f"/v1/runs/{id}/weights").content == kept
    assert (going["status"], going["weights_sha256"]) == ("running", five["weights_sha256"])
    (slot,) = service.workers()[0]["slots"]
    os.kill(slot["pid"], signal.SIGKILL)
    run = succeeded(service, id)
    assert (run["attempt"], run["weights_sha256"]) == (3, quiet_hash)


def test_the_file_must_be_there(service: Service, iris: str, second: Service) -> None:
    other = service.upload(IRIS.read_bytes() + b"5.0,3.0,1.6,0.2,setosa\n", "one more")
    run = succeeded(service, service.start(other, epochs=2))
    receipt = service.client.get(f"/v1/runs/{run['id']}/receipt").json()
    answer = second.client.post("/v1/replays", json=receipt)
    assert (answer.status_code, answer.json()["code"]) == (409, "dataset_missing")
