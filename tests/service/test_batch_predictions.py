"""Batch predictions: what the predictions route says of each row, of every row of a dataset, as one file."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from store import keys, tenants
from store.tabular.answers import FORMULA, as_csv, write_part
from store.tabular.declarations import StoredColumn
from tests.service.callers import Caller

PARQUET = "application/vnd.apache.parquet"
AT = "/v1/batch-predictions"


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture(scope="module")
def flowers(there: Caller, iris: str) -> str:
    """The dataset; the model `iris` is made of it."""
    dataset = there.dataset(iris)
    run = there.trained(dataset, epochs=10, optimizer={"learning_rate": 0.01})
    serve(there, "iris", run)
    return dataset


def serve(there: Caller, name: str, run: dict[str, Any]) -> None:
    answer = there.client.post("/v1/models", json={"name": name, "run": run["id"], "alias": "prod"})
    assert answer.status_code == 201, answer.text


def ask(there: Caller, model: str, dataset: str, status: int = 202, **options: Any) -> Any:
    headers = options.pop("headers", {})
    answer = there.client.post(AT, json={"model": model, "dataset": dataset, **options}, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json


def made(there: Caller, model: str, dataset: str, **options: Any) -> dict[str, Any]:
    id = ask(there, model, dataset, **options)["id"]
    there.predict_batches()
    found = there.get(f"{AT}/{id}")
    assert found["status"] == "succeeded", found["error"]
    return found


def result(there: Caller, id: str, tmp_path: Path) -> list[dict[str, Any]]:
    answer = there.client.get(f"{AT}/{id}/result")
    assert (answer.status_code, answer.content_type) == (200, PARQUET)
    file = tmp_path / "result.parquet"
    file.write_bytes(answer.data)
    found = duckdb.sql(f"SELECT * FROM read_parquet('{file}')")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def rows_of(there: Caller, dataset: str) -> list[dict[str, Any]]:
    found = there.get(f"/v1/datasets/{dataset}/rows?limit=1000")
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


def predictions(there: Caller, model: str, dataset: str, **options: Any) -> dict[str, Any]:
    """What the predictions route answers to the dataset's rows."""
    names = [each["name"] for each in there.get(f"/v1/models/{model}")["versions"][0]["inputs"]]
    instances = [{name: row[name] for name in names} for row in rows_of(there, dataset)]
    answer = there.client.post(f"/v1/models/{model}/predictions", json={"instances": instances, **options})
    assert answer.status_code == 200, answer.text
    return answer.json


def test_every_row_is_answered_once_and_in_order_as_the_predictions_route_answers_it(
    there: Caller, flowers: str, tmp_path: Path
) -> None:
    asked = there.client.post(AT, json={"model": "iris@prod", "dataset": flowers, "probabilities": True})
    assert asked.status_code == 202, asked.text
    queued = asked.json
    assert (asked.headers["Location"], asked.headers["Retry-After"]) == (f"{AT}/{queued['id']}", "1")
    assert queued["id"].startswith("bp_")
    assert queued["object"] == "batch_prediction"
    assert (queued["status"], queued["model"], queued["dataset"]) == ("queued", "iris:1", flowers)
    assert queued["progress"] == {"rows": 0, "total": 150, "fraction": 0.0, "eta_seconds": None}
    assert (queued["rows"], queued["error"], queued["attempt"], queued["started_at"]) == (None, None, 0, None)
    assert there.get(f"{AT}/{queued['id']}/result", 409)["detail"].startswith("The batch prediction is queued")
    there.predict_batches()
    found = there.get(f"{AT}/{queued['id']}")
    assert (found["status"], found["rows"], found["attempt"], found["error"]) == ("succeeded", 150, 1, None)
    assert found["progress"] == {"rows": 150, "total": 150, "fraction": 1.0, "eta_seconds": 0.0}
    said = predictions(there, "iris", flowers, probabilities=True)
    rows = result(there, queued["id"], tmp_path)
    assert [row["row"] for row in rows] == list(range(150))
    assert [row["prediction"] for row in rows] == said["predictions"]
    columns = [f"probability_{name}" for name in said["classes"]]
    assert list(rows[0]) == ["row", "prediction", *columns]
    assert [[row[name] for name in columns] for row in rows] == said["probabilities"]


def test_the_same_as_csv_and_in_no_other_form(there: Caller, flowers: str, tmp_path: Path) -> None:
    found = made(there, "iris", flowers, probabilities=True)
    at = f"{AT}/{found['id']}/result"
    answer = there.client.get(at, headers={"Accept": "text/csv"})
    assert (answer.status_code, answer.mimetype) == (200, "text/csv")
    told = list(csv.DictReader(io.StringIO(answer.text)))
    rows = result(there, found["id"], tmp_path)
    assert [{name: str(value) for name, value in row.items()} for row in rows] == told
    for accept in ("*/*", "application/*", f"{PARQUET};q=0.9, text/csv;q=0.1"):
        assert there.client.get(at, headers={"Accept": accept}).mimetype == PARQUET
    assert there.client.get(at, headers={"Accept": "application/json"}).status_code == 406


FORMULAS = ('=HYPERLINK("http://x","y")', "+1+1", "-2", "@SUM(A1)", "\tcmd", "\r=1", "'=1", " =1", "a=1")


def test_csv_result_has_no_formula(there: Caller) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("size", "class"), *((place, each) for place, each in enumerate(FORMULAS * 8))])
    dataset = there.dataset(out.getvalue(), "name=formulas&types=" + '{"class":"categorical"}')
    serve(there, "formulas", there.trained(dataset, "class", epochs=2, validation=None))
    id = made(there, "formulas", dataset, probabilities=True)["id"]
    answer = there.client.get(f"{AT}/{id}/result", headers={"Accept": "text/csv"})
    header, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    body = "size\n" + "".join(f"{place}\n" for place in range(len(rows)))
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}
    at = "/v1/models/formulas/predictions?probabilities=true"
    names, *said = csv.reader(io.StringIO(there.client.post(at, data=body, headers=headers).text, newline=""))
    assert ["row", *names] == header
    assert [row[1] for row in rows] == [row[0] for row in said]
    cells = {cell for row in rows for cell in row} | set(header)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert {row[1].removeprefix("'") for row in rows} & set(FORMULAS)


def test_csv_result_of_every_class_that_begins_like_a_formula(tmp_path: Path) -> None:
    part, texts = tmp_path / "part", (*FORMULAS, "", "plain", "-")
    codes = np.array([*range(len(texts)), -1], dtype=np.int32)
    write_part([{"prediction": StoredColumn("categorical", codes, texts)}], 0, part)
    told = list(csv.reader(io.StringIO(b"".join(as_csv(part, tmp_path)).decode(), newline="")))
    harmless = [f"'{each}" if each.startswith(FORMULA) else each for each in texts]
    assert told == [["row", "prediction"], *([str(row), each] for row, each in enumerate([*harmless, ""]))]


TASKS: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "a number": ("price", {}, {"interval": 0.9}),
    "classes that are numbers": ("quality", {"task": "multiclass"}, {"probabilities": True, "interval": 0.5}),
    "yes and no": ("garden", {}, {"probabilities": True, "interval": 0.5}),
    "a list of one": (["price"], {}, {"interval": 0.99}),
    "numbers": (["price", "size"], {}, {"interval": 0.9}),
    "folds": ("price", {"validation": {"folds": 3}}, {}),
}


@pytest.mark.parametrize("task", TASKS)
def test_every_task_with_columns_of_every_type_some_missing_and_some_unknown(
    task: str, there: Caller, mixed: str, tmp_path: Path
) -> None:
    target, spec, options = TASKS[task]
    name = task.replace(" ", "-")
    features = [each for each in ("size", "rooms", "colour", "garden", "sold_at") if each not in target]
    serve(there, name, there.trained(there.dataset(mixed), target, features=features, epochs=3, **spec))
    others = there.dataset(mixed.replace("green", "violet").replace("2026-01-03T10:00:00Z", ""))
    said = predictions(there, name, others, **options)
    rows = result(there, made(there, name, others, **options)["id"], tmp_path)
    assert len(rows) == 120
    listed = isinstance(target, list)
    names = [f"prediction_{each}" for each in target] if listed else ["prediction"]
    found = [[row[each] for each in names] if listed else row["prediction"] for row in rows]
    assert found == said["predictions"]
    if options.get("probabilities"):
        labels = [str(each).lower() for each in said["classes"]]
        assert [[row[f"probability_{each}"] for each in labels] for row in rows] == said["probabilities"]
        inside = [[each for each in said["classes"] if row[f"in_set_{str(each).lower()}"]] for row in rows]
        assert inside == said["sets"]
    elif options:
        marks = [f"_{each}" for each in target] if listed else [""]
        ends = [[[row[f"low{each}"], row[f"high{each}"]] for each in marks] for row in rows]
        alone = ends if listed else [pair for (pair,) in ends]
        assert alone == said["intervals"]


def test_labels_are_columns_of_true_and_false(there: Caller, tmp_path: Path) -> None:
    table = "a,wet,cold\n" + "1,true,false\n2,false,true\n3,true,true\n" * 10
    dataset = there.dataset(table)
    serve(there, "weather", there.trained(dataset, ["wet", "cold"], features=["a"], epochs=2))
    said = predictions(there, "weather", dataset, probabilities=True)
    rows = result(there, made(there, "weather", dataset, probabilities=True)["id"], tmp_path)
    assert [[row["prediction_wet"], row["prediction_cold"]] for row in rows] == said["predictions"]
    assert [[row["probability_wet"], row["probability_cold"]] for row in rows] == said["probabilities"]


def test_a_dataset_must_have_every_feature_as_it_was_at_training(there: Caller, flowers: str) -> None:
    short = there.dataset("sepal_length,sepal_width,petal_length\n" + "1,a,3\n2,b,4\n" * 5)
    refused = ask(there, "iris", short, 422)
    allowed, first, second = refused["errors"]["dataset"]
    assert allowed == "a dataset with every feature of iris:1 as it was at training"
    assert first.startswith("the column 'sepal_width' is categorical, and was numeric at training")
    assert second == "there is no column 'petal_width', which was numeric at training"
    empty = there.dataset("sepal_length,sepal_width,petal_length,petal_width\n" + "1,,3,4\n2,,4,5\n" * 5)
    said = predictions(there, "iris", empty)
    id = made(there, "iris", empty)["id"]
    told = there.client.get(f"{AT}/{id}/result", headers={"Accept": "text/csv"}).text.splitlines()
    assert told == ["row,prediction", *(f"{row},{label}" for row, label in enumerate(said["predictions"]))]


def test_a_category_that_looks_like_a_number_is_told_how_to_be_read(there: Caller) -> None:
    table = "zip,y\n" + "1,2.5\n2,3.5\n3,4.5\n" * 10
    types = "name=t&types=" + '{"zip":"categorical"}'
    serve(there, "zip", there.trained(there.dataset(table, types), "y", epochs=2))
    refused = ask(there, "zip", there.dataset(table), 422)
    assert 'types={"zip":"categorical"} may read it so' in refused["errors"]["dataset"][1]
    made(there, "zip", there.dataset(table, types))


def test_what_cannot_be_is_refused_at_its_field(there: Caller, flowers: str, mixed: str) -> None:
    serve(there, "plain", there.trained(there.dataset(mixed), "price", epochs=1, validation=None))
    for body, field in (
        ({"model": "iris", "dataset": "ds_" + "0" * 26}, "dataset"),
        ({"model": "iris", "dataset": 7}, "dataset"),
        ({"model": "none", "dataset": flowers}, "model"),
        ({"model": "iris:9", "dataset": flowers}, "model"),
        ({"model": "iris@none", "dataset": flowers}, "model"),
        ({"model": "a b", "dataset": flowers}, "model"),
        ({"dataset": flowers}, "model"),
        ({"model": "iris", "dataset": flowers, "probabilities": 1}, "probabilities"),
        ({"model": "plain", "dataset": flowers, "probabilities": True}, "probabilities"),
        ({"model": "plain", "dataset": flowers, "interval": 0.9}, "interval"),
        ({"model": "iris", "dataset": flowers, "interval": 1.0}, "interval"),
        ({"model": "iris", "dataset": flowers, "rows": 3}, "rows"),
    ):
        answer = there.client.post(AT, json=body)
        assert answer.status_code == 422, (body, answer.text)
        assert list(answer.json["errors"]) == [field], body


def test_what_waits_can_be_cancelled_and_keeps_what_it_needs_until_then(there: Caller, iris: str) -> None:
    dataset = there.dataset(iris + "5.0,3.0,1.0,0.2,setosa\n")
    serve(there, "leaving", there.trained(dataset, epochs=1))
    id = ask(there, "leaving", dataset)["id"]
    assert "still reads" in there.client.delete(f"/v1/datasets/{dataset}").json["detail"]
    assert there.client.delete("/v1/models/leaving").status_code == 409
    assert there.client.delete(f"{AT}/{id}").status_code == 409
    for _ in range(2):
        answer = there.client.post(f"{AT}/{id}/cancel")
        assert (answer.status_code, answer.json["status"]) == (202, "cancelled")
    assert there.get(f"{AT}/{id}")["finished_at"] is not None
    assert there.client.delete("/v1/models/leaving").status_code == 204
    assert there.client.delete(f"/v1/datasets/{dataset}").status_code == 204
    assert there.get(f"{AT}/{id}")["model"] == "leaving:1"
    assert there.client.delete(f"{AT}/{id}").status_code == 204
    assert there.client.get(f"{AT}/{id}").status_code == 404


def test_a_result_goes_with_its_batch_prediction_unless_an_equal_one_names_it(there: Caller, flowers: str) -> None:
    first, second = (made(there, "iris", flowers, interval=0.8)["id"] for _ in range(2))
    blobs = there.parts.blobs
    there.purge()
    before = set(blobs._root.glob("sha256/*/*"))
    assert there.client.post(f"{AT}/{first}/cancel").status_code == 409
    assert there.client.delete(f"{AT}/{first}").status_code == 204
    there.purge()
    assert set(blobs._root.glob("sha256/*/*")) == before
    assert there.client.get(f"{AT}/{second}/result").status_code == 200
    assert there.client.delete(f"{AT}/{second}").status_code == 204
    there.purge()
    assert len(before - set(blobs._root.glob("sha256/*/*"))) == 1


def test_they_are_listed_newest_first_and_by_status(there: Caller, flowers: str) -> None:
    done = made(there, "iris", flowers)
    waits = ask(there, "iris", flowers)
    page = there.get(f"{AT}?limit=1")
    assert page["data"] == [waits]
    assert there.get(f"{AT}?limit=1&after={page['next']}")["data"] == [done]
    assert there.get(f"{AT}?status=queued")["data"] == [waits]
    assert there.get(f"{AT}?status=nonsense", 422)["errors"]["status"]
    there.client.post(f"{AT}/{waits['id']}/cancel")


def test_the_same_request_with_a_key_is_done_once(there: Caller, flowers: str) -> None:
    first, second = (ask(there, "iris", flowers, headers={"Idempotency-Key": "once"}) for _ in range(2))
    assert first == second
    there.predict_batches()


def test_it_has_an_etag_until_it_changes(there: Caller, flowers: str) -> None:
    id = ask(there, "iris", flowers)["id"]
    tag = there.client.get(f"{AT}/{id}").headers["ETag"]
    seen = {"If-None-Match": tag}
    assert there.client.get(f"{AT}/{id}?wait=0", headers=seen).status_code == 304
    there.predict_batches()
    assert there.client.get(f"{AT}/{id}?wait=30", headers=seen).json["status"] == "succeeded"


def test_a_key_that_predicts_may_ask_and_cancel_and_deletes_nothing(
    new_caller: Callable[..., Caller], iris: str
) -> None:
    there = new_caller()
    dataset = there.dataset(iris)
    serve(there, "iris", there.trained(dataset, epochs=1))
    with there.parts.database.write() as tx:
        secrets = {scope: keys.create(tx, tenants.LOCAL, [scope]) for scope in ("predict", "read")}
    headers = {scope: {"Authorization": f"Bearer {secret}"} for scope, secret in secrets.items()}
    body = {"model": "iris", "dataset": dataset}
    assert there.client.post(AT, json=body, headers=headers["read"]).status_code == 403
    asked = there.client.post(AT, json=body, headers=headers["predict"])
    assert asked.status_code == 202
    at = f"{AT}/{asked.json['id']}"
    assert there.client.post(f"{at}/cancel", headers=headers["predict"]).status_code == 202
    assert there.client.delete(at, headers=headers["predict"]).status_code == 403
    assert there.client.get(at, headers=headers["read"]).json["status"] == "cancelled"
