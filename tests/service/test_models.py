"""Models: versions that never change, aliases that move, and predictions by either."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.service.callers import Caller
from tests.service.refusals import NO_ID, House

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.1, 4.7, 1.5], [6.3, 3.3, 6.0, 2.5]]


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture(scope="module")
def flowers(there: Caller, iris: str) -> dict[str, Any]:
    return there.trained(there.dataset(iris), epochs=30, optimizer={"learning_rate": 0.01}, sweep={"seed": [0, 1]})


@pytest.fixture(scope="module")
def mean(there: Caller, flowers: dict[str, Any]) -> dict[str, Any]:
    """An ensemble of three, of which the second has failed before its first epoch was over."""
    members = [{"seed": 0}, {"optimizer.learning_rate": 1e30}, {"seed": 2}]
    asked = {"features": flowers["features"][:3], "ensemble": True, "members": members, "optimizer": {"name": "sgd"}}
    run = there.trained(flowers["dataset"], "petal_width", epochs=3, **asked)
    assert run["best"]["members"] == [0, 2]
    return run


def make(there: Caller, run: dict[str, Any], name: str = "iris", **asked: Any) -> dict[str, Any]:
    answer = there.client.post("/v1/models", json={"name": name, "run": run["id"], **asked})
    assert answer.status_code == 201, answer.text
    assert there.get(answer.headers["Location"]) == answer.json
    return answer.json


def predicted(there: Caller, address: str, columns: int = 4, **asked: Any) -> dict[str, Any]:
    instances = [row[:columns] for row in ROWS]
    answer = there.client.post(f"/v1/{address}/predictions", json={"instances": instances, **asked})
    assert answer.status_code == 200, answer.text
    return answer.json


def test_a_runs_weights_get_a_name(there: Caller, flowers: dict[str, Any]) -> None:
    version = make(there, flowers, alias="prod")
    assert (version["name"], version["version"], version["aliases"]) == ("iris", 1, ["prod"])
    assert (version["run"], version["member"]) == (flowers["id"], flowers["best"]["member"])
    assert version["sha256"] == flowers["weights_sha256"]
    assert [each["name"] for each in version["inputs"]] == flowers["features"]
    assert version["outputs"] == [
        {"name": "species", "type": "categorical", "classes": ["setosa", "versicolor", "virginica"]}
    ]
    by_run = predicted(there, f"runs/{flowers['id']}", probabilities=True, interval=0.9)
    for ref in ("iris", "iris:1", "iris@prod"):
        by_model = predicted(there, f"models/{ref}", probabilities=True, interval=0.9)
        assert by_model.pop("model") == "iris:1"
        assert by_model == {name: by_run[name] for name in by_run.keys() - {"run", "member"}}
    shown = there.get("/v1/models/iris")
    assert (shown["latest"], shown["aliases"]) == (1, {"prod": 1})
    assert shown["versions"] == [version]
    assert there.get("/v1/models")["data"] == [shown]
    assert there.get("/v1/models/iris/versions") == {"data": [version], "has_more": False, "next": None}


def test_the_next_prediction_is_of_the_version_that_the_reference_now_means(
    there: Caller, flowers: dict[str, Any]
) -> None:
    for member in (0, 1, 0):
        make(there, flowers, "moving", member=member)
    by_member = [predicted(there, f"runs/{flowers['id']}", member=member, probabilities=True) for member in (0, 1)]
    assert by_member[0]["probabilities"] != by_member[1]["probabilities"]
    for version, member in ((1, 0), (2, 1), (3, 0)):
        answer = there.client.put("/v1/models/moving/aliases/prod", json={"version": version})
        assert (answer.status_code, answer.json["aliases"]) == (200, {"prod": version})
        found = predicted(there, "models/moving@prod", probabilities=True)
        assert (found["model"], found["probabilities"]) == (f"moving:{version}", by_member[member]["probabilities"])
    assert predicted(there, "models/moving")["model"] == "moving:3"
    make(there, flowers, "moving", alias="prod")
    assert predicted(there, "models/moving")["model"] == predicted(there, "models/moving@prod")["model"] == "moving:4"
    assert there.client.delete("/v1/models/moving/aliases/prod").status_code == 204
    gone = there.client.post("/v1/models/moving@prod/predictions", json={"instances": ROWS})
    assert (gone.status_code, gone.json["detail"]) == (404, "There is no model moving@prod.")
    assert there.client.delete("/v1/models/moving/aliases/prod").status_code == 404


def test_a_version_of_several_answers_as_their_mean_and_by_each_that_is_in_it(
    there: Caller, mean: dict[str, Any]
) -> None:
    version = make(there, mean, "mean")
    assert (version["member"], version["sha256"]) == (None, mean["weights_sha256"])
    assert version["outputs"] == [{"name": "petal_width", "type": "numeric"}]
    for member in ({}, {"member": 0}, {"member": 2}):
        by_run, by_model = (predicted(there, at, 3, **member) for at in (f"runs/{mean['id']}", "models/mean"))
        assert by_run["predictions"] == by_model["predictions"]


def test_one_member_can_be_named_and_is_the_only_one_in_the_version(
    there: Caller, flowers: dict[str, Any], mean: dict[str, Any]
) -> None:
    for run, member, columns in ((flowers, 1 - flowers["best"]["member"], 4), (mean, 2, 3)):
        version = make(there, run, "one", member=member)
        assert version["member"] == member
        assert version["sha256"] == run["members"][member]["weights_sha256"]
        by_run = predicted(there, f"runs/{run['id']}", columns, member=member)["predictions"]
        assert predicted(there, "models/one", columns)["predictions"] == by_run
        assert predicted(there, "models/one", columns, member=member)["predictions"] == by_run


def test_folds_are_named_together(there: Caller, flowers: dict[str, Any]) -> None:
    folded = there.trained(flowers["dataset"], epochs=3, validation={"folds": 3})
    version = make(there, folded, "folded")
    assert (version["member"], version["sha256"]) == (None, folded["weights_sha256"])
    asked = {"probabilities": True, "interval": 0.8}
    by_run, by_model = (predicted(there, at, **asked) for at in (f"runs/{folded['id']}", "models/folded"))
    assert (by_run["probabilities"], by_run["sets"]) == (by_model["probabilities"], by_model["sets"])


def test_a_version_stays_what_it_was_when_its_run_is_extended(there: Caller, flowers: dict[str, Any]) -> None:
    run = there.trained(flowers["dataset"], validation=None, epochs=2, seed=9)
    first = make(there, run, "kept")
    before = predicted(there, "models/kept:1", probabilities=True)
    extended = there.client.post(f"/v1/runs/{run['id']}/extend", json={"to_epochs": 40})
    assert extended.status_code == 202
    assert make(there, run, "kept")["sha256"] == first["sha256"], "until it has ended it has the weights it had"
    there.train()
    assert make(there, run, "kept")["sha256"] != first["sha256"]
    there.parts.models._ready.clear()  # as in a process that was started since
    assert predicted(there, "models/kept:1", probabilities=True) == before
    assert predicted(there, "models/kept", probabilities=True)["probabilities"] != before["probabilities"]


def test_a_run_stays_while_a_version_is_made_of_it_and_a_model_takes_its_blobs_along(
    there: Caller, flowers: dict[str, Any]
) -> None:
    def blobs() -> int:
        return sum(path.is_file() for path in (there.parts.settings.data_dir / "blobs").rglob("*"))

    run = there.trained(flowers["dataset"], epochs=2, sweep={"seed": [5, 6]})
    there.purge()
    before = blobs()
    make(there, run, "short", member=0)
    make(there, run, "short", member=0)
    make(there, run, "shared", member=0)
    assert blobs() == before + 1, "the same weights are kept once"
    refused = there.client.delete(f"/v1/runs/{run['id']}")
    assert (refused.status_code, refused.json["detail"]) in [
        (409, f"Version {number} of model {name} was made of it.") for number, name in ((1, "short"), (1, "shared"))
    ]
    assert there.client.delete("/v1/models/short").status_code == 204
    assert predicted(there, "models/shared")["model"] == "shared:1"
    assert there.client.delete("/v1/models/shared").status_code == 204
    there.purge()
    assert blobs() == before
    for method, address in (("GET", "/v1/models/short"), ("GET", "/v1/models/short/versions/1"), ("DELETE", "short")):
        at = address if address.startswith("/") else f"/v1/models/{address}"
        assert there.client.open(at, method=method).status_code == 404
    assert make(there, run, "short")["version"] == 3, "no number is given twice"
    assert there.client.delete("/v1/models/short").status_code == 204
    assert there.client.delete(f"/v1/runs/{run['id']}").status_code == 204


def test_weights_whose_last_version_is_deleted_meanwhile_are_kept_again(
    there: Caller, flowers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(there, flowers, "former", member=0)
    real = there.parts.blobs.put

    def put_before_the_other_goes(content: Any, named: Any) -> str:
        key = real(content, named)
        monkeypatch.undo()
        assert there.client.delete("/v1/models/former").status_code == 204
        there.purge()
        return key

    monkeypatch.setattr(there.parts.blobs, "put", put_before_the_other_goes)
    make(there, flowers, "latter", member=0)
    there.parts.models._ready.clear()
    assert predicted(there, "models/latter")["model"] == "latter:1"


def test_versions_that_are_made_at_once_are_all_there(there: Caller, flowers: dict[str, Any]) -> None:
    def post(_: int) -> int:
        client = there.app.test_client()
        return client.post("/v1/models", json={"name": "busy", "run": flowers["id"]}).json["version"]

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(post, range(16))) == list(range(1, 17))


def test_the_same_request_with_the_same_key_makes_one_version(there: Caller, flowers: dict[str, Any]) -> None:
    asked = {"json": {"name": "once", "run": flowers["id"]}, "headers": {"Idempotency-Key": "of-a-model"}}
    first, again = (there.client.post("/v1/models", **asked) for _ in range(2))
    assert (again.status_code, again.data, again.headers["Location"]) == (201, first.data, first.headers["Location"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert there.get("/v1/models/once")["latest"] == 1
    other = there.client.post("/v1/models", json={"name": "other", "run": flowers["id"]}, headers=asked["headers"])
    assert other.status_code == 422


def test_models_are_listed_newest_first_each_with_its_newest_version(there: Caller, flowers: dict[str, Any]) -> None:
    for name in ("list-a", "list-b", "list-a"):
        make(there, flowers, name)
    first = there.get("/v1/models?limit=1")
    assert [each["name"] for each in first["data"]] == ["list-b"]
    second = there.get(f"/v1/models?limit=1&after={first['next']}")["data"][0]
    assert (second["name"], second["latest"], [each["version"] for each in second["versions"]]) == ("list-a", 2, [2])
    page = there.get("/v1/models/list-a/versions?limit=1")
    assert [each["version"] for each in page["data"]] == [2]
    rest = there.get(f"/v1/models/list-a/versions?after={page['next']}")
    assert ([each["version"] for each in rest["data"]], rest["next"]) == ([1], None)


@pytest.fixture(scope="module")
def house(there: Caller, flowers: dict[str, Any], mean: dict[str, Any]) -> House:
    failed = there.run(flowers["dataset"], "petal_width", optimizer={"name": "sgd", "learning_rate": 1e30})
    there.train()
    make(there, flowers, "known", alias="prod")
    make(there, mean, "two")
    ids = {"run": flowers["id"], "mean": mean["id"], "failed": failed["id"]}
    return House(there, ids | {"queued": there.run(flowers["dataset"])["id"]})


NAME = "1 to 100 of the letters"
PREDICT = {"instances": ROWS}
REFUSED: list[tuple[Any, ...]] = [
    ("POST", "/v1/models", {"run": "{run}"}, 422, "name", "required"),
    ("POST", "/v1/models", {"name": "x"}, 422, "run", "required"),
    *(
        ("POST", "/v1/models", {"name": name, "run": "{run}"}, 422, "name", NAME)
        for name in ("", "a" * 101, "a b", "a/b", "a:1", "a@b", "ü", "a\n", ".", "..", None, 3, ["a"])
    ),
    *(
        ("POST", "/v1/models", {"name": "x", "run": "{run}", "alias": alias}, 422, "alias", NAME)
        for alias in ("", "a b", "@", "..", None)
    ),
    ("POST", "/v1/models", {"name": "x", "run": f"run_{NO_ID}"}, 422, "run", "the id of a run"),
    ("POST", "/v1/models", {"name": "x", "run": "iris"}, 422, "run", "the id of a run"),
    ("POST", "/v1/models", {"name": "x", "run": None}, 422, "run", "text of 1 to 200"),
    ("POST", "/v1/models", {"name": "x", "run": "{run}", "member": 2}, 422, "member", "from 0 to 1"),
    ("POST", "/v1/models", {"name": "x", "run": "{run}", "member": -1}, 422, "member", "from 0"),
    ("POST", "/v1/models", {"name": "x", "run": "{run}", "member": None}, 422, "member", "a whole number"),
    ("POST", "/v1/models", {"name": "x", "run": "{run}", "version": 7}, 422, "version", "allowed: alias, member"),
    ("POST", "/v1/models", {"name": "x", "run": "{mean}", "member": 1}, 409, None, "failed in its first epoch"),
    ("POST", "/v1/models", {"name": "x", "run": "{queued}"}, 409, None, "is queued and has kept no weights"),
    ("POST", "/v1/models", {"name": "x", "run": "{failed}"}, 409, None, "is failed and has kept no weights"),
    ("PUT", "/v1/models", None, 405, None, "not possible"),
    ("GET", "/v1/models?after=x", None, 422, "after", "next"),
    ("GET", "/v1/models?name=x", None, 422, "name", "allowed: after, limit"),
    ("GET", "/v1/models/unknown", None, 404, None, "no model unknown"),
    ("GET", "/v1/models/known:1", None, 404, None, "nothing at this address"),
    ("GET", "/v1/models/a%20b", None, 404, None, "nothing at this address"),
    ("POST", "/v1/models/known", {}, 405, None, "DELETE, GET"),
    ("DELETE", "/v1/models/unknown", None, 404, None, "no model unknown"),
    ("GET", "/v1/models/unknown/versions", None, 404, None, "no model unknown"),
    ("GET", "/v1/models/known/versions?after=x", None, 422, "after", "next"),
    ("GET", "/v1/models/known/versions/2", None, 404, None, "no version known:2"),
    ("GET", "/v1/models/known/versions/0", None, 404, None, "nothing at this address"),
    ("GET", "/v1/models/known/versions/1000000000", None, 404, None, "nothing at this address"),
    ("GET", "/v1/models/known/versions/x", None, 404, None, "nothing at this address"),
    ("DELETE", "/v1/models/known/versions/1", None, 405, None, "GET"),
    ("PUT", "/v1/models/known/aliases/prod", {}, 422, "version", "required"),
    ("PUT", "/v1/models/known/aliases/prod", {"version": 2}, 422, "version", "there is no known:2"),
    ("PUT", "/v1/models/known/aliases/prod", {"version": 0}, 422, "version", "from 1"),
    ("PUT", "/v1/models/known/aliases/prod", {"version": 10**9}, 422, "version", "from 1 to 999999999"),
    ("PUT", "/v1/models/known/aliases/prod", {"version": "1"}, 422, "version", "a whole number"),
    ("PUT", "/v1/models/known/aliases/prod", {"version": 1, "x": 1}, 422, "x", "allowed: version"),
    ("PUT", "/v1/models/unknown/aliases/prod", {"version": 1}, 404, None, "no model unknown"),
    ("PUT", "/v1/models/known/aliases/a%20b", {"version": 1}, 404, None, "nothing at this address"),
    ("PUT", "/v1/models/known/aliases/..", {"version": 1}, 404, None, "nothing at this address"),
    ("POST", "/v1/models/known/aliases/prod", {"version": 1}, 405, None, "DELETE, GET, HEAD, OPTIONS, PUT"),
    ("DELETE", "/v1/models/known/aliases/unknown", None, 404, None, "no alias known@unknown"),
    *(
        ("POST", f"/v1/models/{ref}/predictions", PREDICT, 404, None, f"no model {ref}")
        for ref in ("unknown", "unknown:1", "unknown@prod", "known:2", "known@unknown")
    ),
    *(
        ("POST", f"/v1/models/{ref}/predictions", PREDICT, 404, None, "nothing at this address")
        for ref in ("known:0", "known:x", "known:", "known@", "known:1@prod", "known:1000000000")
    ),
    ("GET", "/v1/models/known/predictions", None, 405, None, "POST"),
    ("POST", "/v1/models/known/predictions", {**PREDICT, "member": 5}, 422, "member", "one of those that this model"),
    ("POST", "/v1/models/two/predictions", {**PREDICT, "member": 1}, 422, "member", "that this model has: 0, 2"),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]} {case[1]} {case[2]} {case[3]}"[:100])
def test_what_is_wrong_is_refused_with_its_field(house: House, case: tuple[Any, ...]) -> None:
    method, address, body, *refusal = case
    if isinstance(body, dict) and isinstance(body.get("run"), str):
        body = {**body, "run": body["run"].format(**house.ids)}
    house.refuses(tuple(refusal), method, address, **({} if body is None else {"json": body}))
