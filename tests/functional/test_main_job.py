"""The main job, over HTTP, through a real broker and a real worker."""

import csv
import hashlib

import pytest
from safetensors.numpy import load

from tests.functional.running import IRIS, SMALL

SPEC = {"epochs": 50, "test": {"fraction": 0.2}, "optimizer": {"name": "adam", "learning_rate": 0.01}}


@pytest.fixture(scope="module")
def run(service, iris):
    network = service.post("/v1/networks", json=SMALL)["id"]
    id = service.start(iris, network=network, seed=3, name="species", **SPEC)
    return service.ended(id)


def test_a_network_trained_on_real_data_tells_rows_that_it_never_saw(run):
    assert (run["status"], run["attempt"], run["error"]) == ("succeeded", 1, None)
    assert run["rows"] == {"train": 90, "validation": 30, "test": 30, "dropped": 0}
    assert set(run["metrics"]) == {"train", "validation", "test"}
    assert run["metrics"]["test"]["accuracy"] >= 0.9
    assert run["progress"]["epoch"] == 50
    assert run["progress"]["fraction"] == 1.0
    assert run["best"]["value"] == run["metrics"]["validation"]["loss"]
    assert run["started_at"] <= run["finished_at"]


def test_its_events_tell_its_life_in_order(service, run):
    events = service.events(run["id"])
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["type"] for event in events if event["type"] != "run.progress"] == [
        "run.queued",
        "run.started",
        "run.succeeded",
    ]
    told = [event["data"]["epoch"] for event in events if event["type"] == "run.progress"]
    assert told == sorted(set(told))
    assert (told[0], told[-1]) == (1, 50)


def test_every_epoch_can_be_read_and_the_best_is_the_lowest(service, run):
    page = service.client.get(f"/v1/runs/{run['id']}/metrics", params={"limit": 1000}).json()
    losses = {
        row["epoch"]: row["value"] for row in page["data"] if (row["split"], row["name"]) == ("validation", "loss")
    }
    assert sorted(losses) == list(range(1, 51))
    assert min(losses, key=losses.__getitem__) == run["best"]["epoch"]
    assert losses[run["best"]["epoch"]] == run["best"]["value"]


def test_the_weights_can_be_taken_away_and_have_the_hash_that_the_run_says(service, run):
    response = service.client.get(f"/v1/runs/{run['id']}/weights").raise_for_status()
    tensors = load(response.content)
    digest = hashlib.sha256()
    for index in range(3):
        for part in ("weight", "bias"):
            digest.update(tensors[f"layers.{index}.{part}"].astype("<f4").tobytes())
    assert digest.hexdigest() == run["weights_sha256"] == run["members"][0]["weights_sha256"]


def test_raw_rows_are_answered_with_labels_and_probabilities(service, run):
    with IRIS.open() as file:
        rows = list(csv.DictReader(file))
    instances = [{name: float(row[name]) for name in run["features"]} for row in rows]
    answer = service.post(f"/v1/runs/{run['id']}/predictions", json={"instances": instances, "probabilities": True})
    right = sum(label == row["species"] for label, row in zip(answer["predictions"], rows, strict=True))
    assert right >= 140
    assert answer["classes"] == ["setosa", "versicolor", "virginica"]
    for label, probabilities in zip(answer["predictions"], answer["probabilities"], strict=True):
        assert sum(probabilities) == pytest.approx(1)
        assert label == answer["classes"][probabilities.index(max(probabilities))]
    alone = service.post(f"/v1/runs/{run['id']}/predictions", json={"instances": instances[7:8], "probabilities": True})
    assert alone["probabilities"][0] == answer["probabilities"][7]


def test_the_receipt_says_what_it_takes_to_do_it_again(service, run, iris):
    receipt = service.client.get(f"/v1/runs/{run['id']}/receipt").raise_for_status().json()
    assert receipt["dataset_sha256"] == hashlib.sha256(IRIS.read_bytes()).hexdigest()
    assert (receipt["spec"], receipt["seeds"]) == (run["spec"], [3])
    assert receipt["weights_sha256"] == run["weights_sha256"]


def test_the_same_spec_and_seed_give_the_same_weights_and_another_seed_gives_others(service, run, iris):
    again = service.ended(service.start(iris, seed=3, **SPEC))
    other = service.ended(service.start(iris, seed=4, **SPEC))
    assert again["weights_sha256"] == run["weights_sha256"]
    assert again["metrics"] == run["metrics"]
    assert other["weights_sha256"] != run["weights_sha256"]


def test_members_of_a_sweep_have_the_weights_of_the_same_networks_trained_alone(service, iris):
    def optimizer(rate):
        return {"name": "adam", "learning_rate": rate}

    sweep = {"optimizer.learning_rate": [0.003, 0.02], "seed": [0, 1, 2]}
    together = service.ended(service.start(iris, epochs=20, sweep=sweep, optimizer=optimizer(0.001)))
    hashes = [member["weights_sha256"] for member in together["members"]]
    assert len(set(hashes)) == 6
    for index, member in enumerate(together["members"]):
        overrides = member["overrides"]
        rate = overrides["optimizer.learning_rate"]
        alone = service.ended(service.start(iris, epochs=20, seed=overrides["seed"], optimizer=optimizer(rate)))
        assert alone["weights_sha256"] == hashes[index], overrides
    best = min(together["members"], key=lambda member: member["best"]["value"])
    assert together["best"]["member"] == best["index"]
    assert together["weights_sha256"] == best["weights_sha256"]


def test_a_run_whose_loss_is_not_finite_fails_and_says_so(service, iris):
    run = service.ended(service.start(iris, epochs=200, optimizer={"name": "sgd", "learning_rate": 1e30}))
    assert (run["status"], run["error"]["code"]) == ("failed", "non_finite_loss")
    assert service.events(run["id"])[-1]["type"] == "run.failed"
