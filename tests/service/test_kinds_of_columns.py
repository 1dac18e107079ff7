"""Times and columns of many categories, from the file to a run and its predictions."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from learning.preprocessing import Preprocessing
from service.resolution.capacity import encoded_columns
from service.resolution.columns import USABLE
from store import datasets, tenants
from tests.service.callers import Caller
from workers.reading import Tables

ZIPS = 90


def shop(rows: int = 1500) -> str:
    """Sales that depend on the hour and the zip code, with a time or a zip missing here and there."""
    drawn = random.Random(11)
    lines = ["when,zip,amount"]
    for index in range(rows):
        hour, zip = drawn.randrange(24), drawn.randrange(ZIPS)
        when = "" if index % 50 == 7 else f"2026-{1 + index % 12:02}-{1 + index % 28:02}T{hour:02}:30:00Z"
        lines.append(f"{when},{'' if index % 70 == 9 else f'z{zip:03}'},{20 * (hour > 11) + zip + drawn.random():.3f}")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture(scope="module")
def dataset(there: Caller) -> str:
    return there.dataset(shop())


@pytest.fixture(scope="module")
def shopping(there: Caller, dataset: str) -> dict[str, Any]:
    return there.trained(dataset, "amount", epochs=60, optimizer={"name": "adam", "learning_rate": 0.01})


@pytest.mark.parametrize("scaling", ["standard", "robust", "none"])
def test_times_and_many_categories_are_features_under_every_scaling(there: Caller, dataset: str, scaling: str) -> None:
    found = there.ask(dataset, "amount", "?dry_run=true", scaling=scaling)
    assert found.status_code == 200, found.text
    assert (found.json["spec"]["features"], found.json["spec"]["scaling"]) == (["when", "zip"], scaling)
    assert found.json["warnings"] == []


@pytest.mark.parametrize("rows", [70, 150, 400])
def test_what_columns_become_is_bounded_before_the_train_rows_are_known(there: Caller, mixed: str, rows: int) -> None:
    for table, target in ((shop(rows), "amount"), (mixed, "price")):
        with there.parts.database.read() as tx:
            found = datasets.get(tx, tenants.LOCAL, there.dataset(table))
        assert found.blob is not None
        features = [each["name"] for each in found.columns if each["name"] != target and each["type"] in USABLE]
        most, embeddings = encoded_columns(found, features)
        read = Tables().read(there.parts.blobs.local_path(found.blob), features)
        for train in (torch.arange(found.rows), torch.arange(0, found.rows, 2)):
            fitted = Preprocessing.fit(read, features, train, "standard")
            assert fitted.width <= most
            assert len(fitted.embeddings) <= len(embeddings)
            for each, bound in zip(fitted.embeddings, embeddings, strict=False):
                assert (each.categories <= bound.categories, each.units) == (True, bound.units)


def test_a_time_that_is_none_is_refused_at_its_place(there: Caller, shopping: dict[str, Any]) -> None:
    body = {"instances": [{"when": "2026-01-01"}, {"when": "noon"}]}
    answer = there.client.post(f"/v1/runs/{shopping['id']}/predictions", json=body)
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["instances.1.when"])


def test_a_run_learns_from_the_hour_and_the_zip_code(there: Caller, shopping: dict[str, Any]) -> None:
    assert shopping["metrics"]["validation"]["r2"] > 0.8
    instances = [
        *({"when": f"2026-05-05T{hour:02}:30:00Z", "zip": zip} for hour, zip in ((9, "z040"), (15, "z040"))),
        {"when": "2026-05-05T09:30:00Z", "zip": "z080"},
        {"when": "2026-05-05T11:30:00+02:00", "zip": "z080"},
        {"zip": "never seen"},
        {},
    ]
    answer = there.client.post(f"/v1/runs/{shopping['id']}/predictions", json={"instances": instances})
    assert answer.status_code == 200, answer.text
    morning, afternoon, farther, same, *_ = answer.json["predictions"]
    assert farther == same
    assert afternoon - morning > 8
    assert farther - morning > 15


def test_a_fold_alone_is_the_same_network_as_among_all(there: Caller, dataset: str) -> None:
    asked = {"target": "amount", "scaling": "robust", "epochs": 2}
    together = there.trained(dataset, validation={"folds": 3}, **asked)
    hashes = [member["weights_sha256"] for member in together["members"]]
    alone = [there.trained(dataset, validation={"folds": 3, "fold": fold}, **asked) for fold in (0, 2)]
    assert [run["members"][0]["weights_sha256"] for run in alone] == [hashes[0], hashes[2]]
    assert len(set(hashes)) == 3
