"""Tables come in by every way that the contract names, and can be looked at, renamed and deleted."""

import gzip
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.service.callers import Caller

TABLE = "x,y\n1,a\n2,b\n3,a\n"


def test_the_answer_tells_all_of_the_table(caller: Caller, iris: str) -> None:
    answer = caller.send(iris, "name=iris")
    found = answer.json
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/datasets/{found['id']}"
    assert found["object"] == "dataset"
    assert (found["name"], found["status"], found["error"]) == ("iris", "ready", None)
    assert (found["rows"], found["bytes"]) == (150, len(iris))
    assert found["sha256"] == hashlib.sha256(iris.encode()).hexdigest()
    assert [column["type"] for column in found["columns"]] == ["numeric"] * 4 + ["categorical"]
    assert found["columns"][0]["min"] == 4.3
    assert found["columns"][4]["categories"][0] == {"value": "setosa", "count": 50}
    assert found["warnings"] == []
    assert caller.get(f"/v1/datasets/{found['id']}") == found


def _parquet(folder: Path) -> bytes:
    path = folder / "table.parquet"
    duckdb.sql(f"COPY (SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, 'a')) t(x, y)) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


@pytest.mark.parametrize("way", ["csv", "csv with charset", "gzip", "ndjson", "parquet", "form", "form by type"])
def test_a_table_comes_in_by_every_way(caller: Caller, tmp_path: Path, way: str) -> None:
    lines = b'{"x": 1, "y": "a"}\n{"x": 2, "y": "b"}\n{"x": 3, "y": "a"}\n'
    form = "multipart/form-data"
    sent: dict[str, Any] = {
        "csv": lambda: {"data": TABLE, "content_type": "text/csv"},
        "csv with charset": lambda: {"data": TABLE, "content_type": "text/csv; charset=UTF-8; header=present"},
        "gzip": lambda: {
            "data": gzip.compress(TABLE.encode()),
            "content_type": "text/csv",
            "headers": {"Content-Encoding": "gzip"},
        },
        "ndjson": lambda: {"data": lines, "content_type": "application/x-ndjson"},
        "parquet": lambda: {"data": _parquet(tmp_path), "content_type": "application/vnd.apache.parquet"},
        "form": lambda: {"data": {"file": (io.BytesIO(TABLE.encode()), "t.csv"), "name": "t"}, "content_type": form},
        "form by type": lambda: {
            "data": {"file": (io.BytesIO(lines), "t", "application/x-ndjson")},
            "content_type": form,
        },
    }[way]()
    answer = caller.client.post("/v1/datasets", **sent)
    assert answer.status_code == 201, answer.text
    rows = caller.get(f"/v1/datasets/{answer.json['id']}/rows")
    assert (rows["columns"], rows["rows"]) == (["x", "y"], [[1, "a"], [2, "b"], [3, "a"]])


@pytest.mark.parametrize(
    ("form", "query", "name"),
    [
        ({"name": "mine"}, "", "mine"),
        ({}, "", "flowers"),
        ({"name": "mine"}, "?name=theirs", "theirs"),
    ],
)
def test_a_form_names_its_table(caller: Caller, form: dict[str, str], query: str, name: str) -> None:
    form = {**form, "file": (io.BytesIO(TABLE.encode()), "flowers.csv")}  # type: ignore[dict-item]
    answer = caller.client.post(f"/v1/datasets{query}", data=form, content_type="multipart/form-data")
    assert answer.json["name"] == name


def test_a_form_may_be_as_large_as_a_body(caller: Caller) -> None:
    table = b"x,y\n" + b"1,2\n" * 100_000
    form = {"file": (io.BytesIO(table), "large.csv", "text/csv"), "name": "large"}
    answer = caller.client.post("/v1/datasets", data=form, content_type="multipart/form-data")
    assert (answer.status_code, answer.json["rows"], answer.json["bytes"]) == (201, 100_000, len(table))


def test_the_query_says_how_to_read(caller: Caller) -> None:
    table = "1;01234;?\n2;01235;x\n3;-;y\n"
    query = 'header=false&delimiter=;&missing=?,-&types={"column_2":"categorical"}'
    found = caller.get(f"/v1/datasets/{caller.dataset(table, query)}")
    assert [column["name"] for column in found["columns"]] == ["column_1", "column_2", "column_3"]
    assert [column["missing"] for column in found["columns"]] == [0, 1, 1]
    assert found["columns"][1]["type"] == "categorical"
    assert [each["value"] for each in found["columns"][1]["categories"]] == ["01234", "01235"]


def test_a_doubled_header_gets_a_number_and_a_warning(caller: Caller) -> None:
    found = caller.send("a,a\n1,2\n3,4\n").json
    assert [column["name"] for column in found["columns"]] == ["a", "a_2"]
    assert found["warnings"][0]["column"] == "a_2"


def test_rows_are_read_by_pages(caller: Caller) -> None:
    address = f"/v1/datasets/{caller.dataset(TABLE)}/rows"
    assert caller.get(f"{address}?limit=1&offset=1")["rows"] == [[2, "b"]]
    assert caller.get(f"{address}?offset=3")["rows"] == []
    assert caller.get(f"{address}?limit=2")["next_offset"] == 2
    assert caller.get(f"{address}?limit=3")["next_offset"] is None


def test_an_etag_spares_what_the_caller_has(caller: Caller) -> None:
    address = f"/v1/datasets/{caller.dataset(TABLE)}"
    first = caller.client.get(address)
    again = caller.client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    renamed = caller.client.patch(address, json={"name": "other"})
    assert (renamed.status_code, renamed.json["name"]) == (200, "other")
    assert caller.client.get(address, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_a_head_is_a_get_without_its_body(caller: Caller) -> None:
    address = f"/v1/datasets/{caller.dataset(TABLE)}"
    head, get = caller.client.head(address), caller.client.get(address)
    assert (head.status_code, head.data, head.headers["ETag"]) == (200, b"", get.headers["ETag"])


def test_lists_are_newest_first_and_pages_stay_when_rows_vanish(caller: Caller) -> None:
    ids = [caller.dataset(TABLE, f"name=d{index}") for index in range(5)]
    first = caller.get("/v1/datasets?limit=2")
    assert [each["id"] for each in first["data"]] == [ids[4], ids[3]]
    assert first["has_more"] is True
    caller.client.delete(f"/v1/datasets/{ids[3]}")  # the cursor's own row
    second = caller.get(f"/v1/datasets?limit=2&after={first['next']}")
    assert [each["id"] for each in second["data"]] == [ids[2], ids[1]]
    last = caller.get(f"/v1/datasets?limit=2&after={second['next']}")
    assert ([each["id"] for each in last["data"]], last["has_more"], last["next"]) == ([ids[0]], False, None)


def test_a_deleted_dataset_is_gone_with_its_bytes(caller: Caller, new_caller: Callable[..., Caller]) -> None:
    id = caller.dataset(TABLE)
    kept = caller.dataset(TABLE, "name=twin")  # the same bytes, under a name of its own
    blobs = caller.parts.settings.data_dir / "blobs" / "sha256"
    assert caller.client.delete(f"/v1/datasets/{id}").status_code == 204
    assert caller.client.delete(f"/v1/datasets/{id}").status_code == 404
    caller.get(f"/v1/datasets/{id}", 404)
    assert caller.purge() == 0
    assert caller.get(f"/v1/datasets/{kept}/rows")["rows"][0] == [1, "a"]
    caller.client.delete(f"/v1/datasets/{kept}")
    assert caller.purge() == 1
    assert [path for path in blobs.rglob("*") if path.is_file()] == []


def test_bytes_that_are_lost_are_410_and_not_our_fault(new_caller: Callable[..., Caller], iris: str) -> None:
    caller = new_caller()
    dataset = caller.dataset(iris)
    run = caller.trained(dataset, epochs=2)
    for path in (caller.parts.settings.data_dir / "blobs").glob("sha256/*/*"):
        path.unlink()
    row = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
    for answer in (
        caller.client.get(f"/v1/datasets/{dataset}/rows"),
        caller.client.get(f"/v1/runs/{run['id']}/weights"),
        caller.client.get(f"/v1/runs/{run['id']}/onnx"),
        caller.client.post(f"/v1/runs/{run['id']}/predictions", json=row),
        caller.client.post("/v1/models", json={"name": "lost", "run": run["id"]}),
        caller.ask(dataset, "petal_width"),
    ):
        assert (answer.status_code, answer.json["title"]) == (410, "Gone"), answer.text
        assert "backup" in answer.json["detail"]
        assert "sha256" not in answer.text
    assert caller.get(f"/v1/datasets/{dataset}")["status"] == "ready"


def test_a_dataset_is_not_deleted_under_a_run(caller: Caller, iris: str) -> None:
    id = caller.dataset(iris)
    run = caller.run(id)["id"]
    refused = caller.client.delete(f"/v1/datasets/{id}")
    assert refused.status_code == 409
    assert run in refused.json["detail"]
    caller.client.post(f"/v1/runs/{run}/cancel")
    assert caller.client.delete(f"/v1/datasets/{id}").status_code == 204
    assert caller.get(f"/v1/runs/{run}")["dataset"] == id
