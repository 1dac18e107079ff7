"""Files to take away: whose they are, what they tell of themselves, and the examples that predict from them."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load
from werkzeug.test import TestResponse

from examples.carry_into_torch import Carried as CarriedIntoTorch
from learning.weights import member_sha256
from service.exporting import graph
from tests.service.callers import Caller
from tests.service.carried import Carried

EXAMPLE = Path(__file__).parents[2] / "examples" / "predict_from_onnx.py"


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture(scope="module")
def flowers(there: Caller, iris: str) -> dict[str, Any]:
    """Two members, of which the better one answers; under the name `iris`, and as `prod`."""
    run = there.trained(there.dataset(iris), epochs=20, sweep={"seed": [0, 1]})
    named(there, "iris", run, alias="prod")
    return run


@pytest.fixture(scope="module")
def several(there: Caller, iris: str) -> dict[str, Any]:
    """Three members that answer together, under the name `several`."""
    run = there.trained(there.dataset(iris), epochs=3, sweep={"seed": [0, 1, 2]}, ensemble=True)
    named(there, "several", run)
    return run


def named(caller: Caller, name: str, run: dict[str, Any], **asked: Any) -> None:
    answer = caller.client.post("/v1/models", json={"name": name, "run": run["id"], **asked})
    assert answer.status_code == 201, answer.text


def file(caller: Caller, path: str, **options: Any) -> TestResponse:
    answer = caller.client.get(f"/v1/{path}", **options)
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "application/octet-stream"
    return answer


def name_of(answer: TestResponse) -> str:
    return answer.headers["Content-Disposition"].removeprefix('attachment; filename="').removesuffix('"')


def test_a_model_is_taken_away_by_any_of_its_names(there: Caller, flowers: dict[str, Any]) -> None:
    best = flowers["best"]["member"]
    own = file(there, f"runs/{flowers['id']}/weights")
    for ref in ("iris", "iris:1", "iris@prod"):
        weights = file(there, f"models/{ref}/weights")
        assert (weights.data, name_of(weights)) == (own.data, f"iris-1-{best}.safetensors")
        assert member_sha256(load_torch(weights.data)) == flowers["weights_sha256"]
        whole = file(there, f"models/{ref}/onnx")
        assert name_of(whole) == f"iris-1-{best}.onnx"
        assert Carried(whole.data).told["learnd.weights_sha256"] == flowers["weights_sha256"]
    assert name_of(own) == f"{flowers['id']}-{best}.safetensors"
    assert name_of(file(there, f"runs/{flowers['id']}/onnx?member={1 - best}")) == f"{flowers['id']}-{1 - best}.onnx"


def load_torch(content: bytes) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(array.copy()) for name, array in load(content).items()}


def test_a_file_tells_what_it_is(there: Caller, flowers: dict[str, Any], several: dict[str, Any]) -> None:
    told = Carried(file(there, "models/iris/onnx").data).told
    best = flowers["best"]["member"]
    assert (told["learnd.model"], told["learnd.run"], told["learnd.member"]) == ("iris:1", flowers["id"], str(best))
    assert told["learnd.task"] == "multiclass"
    assert told["learnd.classes"] == ["setosa", "versicolor", "virginica"]
    assert told["learnd.inputs"] == [{"name": name, "type": "numeric"} for name in flowers["features"]]
    assert told["learnd.outputs"] == {"prediction": "prediction", "probabilities": "probabilities"}
    (target,) = told["learnd.targets"]
    assert (target["name"], target["type"]) == ("species", "categorical")
    whole = Carried(file(there, f"runs/{several['id']}/onnx").data)
    assert whole.told["learnd.weights_sha256"] == several["weights_sha256"]
    assert whole.told.keys() & {"learnd.model", "learnd.member"} == set()
    assert (whole.model.producer_name, whole.model.producer_version) == ("learnd", whole.told["learnd.version"])


def test_constants_are_called_as_in_the_file_of_weights(there: Caller, flowers: dict[str, Any]) -> None:
    from onnx import numpy_helper

    weights = load(file(there, "models/iris/weights").data)
    model = Carried(file(there, "models/iris/onnx").data).model
    held = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    assert {name: array.tobytes() for name, array in weights.items()}.items() <= {
        name: array.tobytes() for name, array in held.items()
    }.items()


def test_several_are_one_file_of_onnx_and_one_file_each_of_weights(there: Caller, several: dict[str, Any]) -> None:
    hashes = []
    for member in range(3):
        one = Carried(file(there, f"models/several/onnx?member={member}").data)
        weights = file(there, f"models/several:1/weights?member={member}")
        assert name_of(weights) == f"several-1-{member}.safetensors"
        hashes.append(member_sha256(load_torch(weights.data)))
        assert (one.told["learnd.weights_sha256"], one.told["learnd.member"]) == (hashes[-1], str(member))
    assert hashes == [member["weights_sha256"] for member in several["members"]]
    assert name_of(file(there, "models/several/onnx")) == "several-1.onnx"
    for path in ("models/several", f"runs/{several['id']}"):
        answer = there.client.get(f"/v1/{path}/weights")
        assert answer.status_code == 422
        assert "by members 0, 1, 2" in answer.json["errors"]["member"][0]


@pytest.mark.parametrize("kind", ["weights", "onnx"])
def test_what_is_not_there_is_refused(there: Caller, flowers: dict[str, Any], kind: str) -> None:
    worse = 1 - flowers["best"]["member"]
    for path, status, words in (
        (f"models/iris/{kind}?member={worse}", 422, "the model iris:1 has no other"),
        (f"models/iris/{kind}?member=-1", 422, "a whole number"),
        (f"models/iris/{kind}?members=1", 422, "nknown"),
        (f"models/iris:2/{kind}", 404, "no model iris:2"),
        (f"models/lilac/{kind}", 404, "no model lilac"),
        (f"runs/{flowers['id']}/{kind}?member=2", 422, "from 0 to 1"),
    ):
        answer = there.client.get(f"/v1/{path}")
        assert (answer.status_code, words in answer.text) == (status, True), (path, answer.text)


def test_a_run_without_weights_has_none_to_take_away(there: Caller, iris: str) -> None:
    run = there.run(there.dataset(iris))
    for kind in ("weights", "onnx"):
        answer = there.client.get(f"/v1/runs/{run['id']}/{kind}")
        assert (answer.status_code, "kept no weights" in answer.json["detail"]) == (409, True)
    there.client.post(f"/v1/runs/{run['id']}/cancel")


@pytest.mark.parametrize("path", ["models/iris/weights", "models/iris/onnx", "runs/{run}/weights", "runs/{run}/onnx"])
def test_who_has_the_file_is_not_sent_it_again(there: Caller, flowers: dict[str, Any], path: str) -> None:
    path = path.format(run=flowers["id"])
    first = file(there, path)
    again = there.client.get(f"/v1/{path}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    other = file(there, path, headers={"If-None-Match": '"another"'})
    assert (other.data, other.headers["ETag"]) == (first.data, first.headers["ETag"])


def test_what_no_onnx_file_can_hold_is_refused(
    there: Caller, flowers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "MOST_BYTES", 1000)
    answer = there.client.get("/v1/models/iris/onnx")
    assert (answer.status_code, "2 GiB" in answer.json["detail"]) == (409, True)


def test_the_service_starts_without_the_library() -> None:
    watched = "import sys, service.app; assert 'onnx' not in sys.modules, 'imported at the start'"
    done = subprocess.run([sys.executable, "-c", watched], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_safetensors_of_a_model_predict_in_torch(there: Caller, flowers: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "iris.safetensors"
    path.write_bytes(file(there, "models/iris@prod/weights").data)
    rows = [dict(zip(flowers["features"], values, strict=True)) for values in ((5.1, 3.5, 1.4, 0.2), (6.3, 3, 6, 2.5))]
    answer = there.client.post("/v1/models/iris/predictions", json={"instances": rows}).json
    assert CarriedIntoTorch(path).predict(rows) == answer["predictions"]


ALONE = """
import builtins, runpy, sys
class Absent:
    def find_spec(self, name, *_):
        if name.split(".")[0] not in {"numpy", "onnxruntime"} | set(sys.stdlib_module_names):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.argv = sys.argv[1:]
sys.meta_path.insert(0, Absent())
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def predicted(onnx: bytes, table: str, folder: Path) -> list[dict[str, str]]:
    """What the example writes of a table, where of all packages only numpy and onnxruntime can be imported."""
    (folder / "model.onnx").write_bytes(onnx)
    (folder / "table.csv").write_text(table, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(EXAMPLE), "model.onnx", "table.csv"],
        check=False,
        cwd=folder,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return list(csv.DictReader(io.StringIO(done.stdout.decode())))


def test_the_example_predicts_a_table_of_flowers(
    there: Caller, flowers: dict[str, Any], iris: str, tmp_path: Path
) -> None:
    found = predicted(file(there, "models/iris@prod/onnx").data, iris, tmp_path)
    rows = [{name: float(row[name]) for name in flowers["features"]} for row in csv.DictReader(io.StringIO(iris))]
    asked = {"instances": rows, "probabilities": True}
    answer = there.client.post("/v1/models/iris@prod/predictions", json=asked).json
    assert [row["prediction"] for row in found] == answer["predictions"]
    for row, probabilities in zip(found, answer["probabilities"], strict=True):
        told = [float(row[f"probability of {kind}"]) for kind in answer["classes"]]
        assert told == pytest.approx(probabilities, abs=1e-6)


def test_the_example_predicts_a_table_of_every_type_with_missing_cells(
    there: Caller, mixed: str, tmp_path: Path
) -> None:
    dataset = there.dataset(mixed)
    run = there.trained(dataset, "price", epochs=3)
    assert set(run["features"]) == {"size", "rooms", "colour", "garden", "sold_at", "quality"}
    found = predicted(file(there, f"runs/{run['id']}/onnx").data, mixed, tmp_path)
    shown = there.get(f"/v1/datasets/{dataset}/rows?limit=200")
    rows = [dict(zip(shown["columns"], row, strict=True)) for row in shown["rows"]]
    asked = {"instances": [{name: row[name] for name in run["features"]} for row in rows]}
    answer = there.client.post(f"/v1/runs/{run['id']}/predictions", json=asked).json
    assert [float(row["prediction"]) for row in found] == pytest.approx(answer["predictions"], rel=1e-5)
    assert len(found) == len(mixed.splitlines()) - 1


def test_the_example_says_which_column_is_not_what_it_was(
    there: Caller, flowers: dict[str, Any], tmp_path: Path
) -> None:
    table = "petal_width,sepal_length\nwide,3\n"
    with pytest.raises(AssertionError, match="'petal_width' is numeric"):
        predicted(file(there, "models/iris/onnx").data, table, tmp_path)


def test_outputs_keep_out_of_the_way_of_features(there: Caller) -> None:
    table = "prediction,probabilities,y\n" + "".join(f"{i % 7},{i % 5},{'ab'[i % 7 > 3]}\n" for i in range(60))
    run = there.trained(there.dataset(table), "y")
    carried = Carried(file(there, f"runs/{run['id']}/onnx").data)
    assert [each.name for each in carried.session.get_inputs()] == ["prediction", "probabilities"]
    assert carried.told["learnd.outputs"] == {"prediction": "prediction_2", "probabilities": "probabilities_2"}
    assert json.loads(there.client.get(f"/v1/runs/{run['id']}").text)["features"] == ["prediction", "probabilities"]
