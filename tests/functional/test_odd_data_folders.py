"""A data folder may have any name that a folder can have: everything is inside it, and nothing beside it."""

import shutil
from pathlib import Path

import pytest

from tests.functional.running import IRIS, Service

EVERYTHING = """team#1 what?now 100%25 a%41b=c&d+e;f,g@h:i!$(j)k'l"m`n<o>{p}|~^a[b]*[!c]\\ dä日"""
NAMES = ["team#1", "what?now", "a%41b", "env=prod", "a[b]*c[!d]?", "dänisch日 🎉", "x" * 150]


def everything_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", [EVERYTHING, *NAMES])
def test_a_whole_life_in_a_folder_of_any_name(tmp_path: Path, name: str, request: pytest.FixtureRequest) -> None:
    full = request.config.getoption("full")
    if name != EVERYTHING and not full:
        pytest.skip("one service for each takes seconds: see --full")
    data = tmp_path / "data" / name
    service = Service(tmp_path, data=data)
    try:
        dataset = service.upload(IRIS.read_bytes(), "iris")
        run = service.ended(service.start(dataset, epochs=3))
        assert run["status"] == "succeeded", run
        row = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
        ask = {"instances": [row]}
        before = service.post(f"/v1/runs/{run['id']}/predictions", json=ask)["predictions"]
    finally:
        assert service.stop() == 0
    assert everything_in(tmp_path) == {"data", "log"}
    assert everything_in(tmp_path / "data") == {name}
    assert {"learnd.db", "blobs"} <= everything_in(data)
    moved = tmp_path / "moved"
    shutil.copytree(data, moved)  # a backup that is started elsewhere
    for folder in (data, moved) if full else (moved,):
        service = Service(tmp_path, data=folder)
        try:
            assert service.post(f"/v1/runs/{run['id']}/predictions", json=ask)["predictions"] == before
            assert len(service.client.get(f"/v1/datasets/{dataset}/rows?limit=3").json()["rows"]) == 3
        finally:
            assert service.stop() == 0
