"""Decision surfaces: the predictions of a run over two features, as each would be answered alone."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.service.callers import Caller


@pytest.fixture(scope="module")
def there(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture(scope="module")
def flowers(there: Caller, iris: str) -> str:
    return there.dataset(iris)


@pytest.fixture(scope="module")
def rooms(there: Caller, mixed: str) -> str:
    return there.dataset(mixed)


def regions(there: Caller, run: str, query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = there.get(f"/v1/runs/{run}/regions?{query}")
    return found


def check_cells(there: Caller, run: str, found: dict[str, Any], count: int = 40, **options: Any) -> None:
    """Cells drawn from the grid are what the predictions route answers to the same row."""
    x, y = found["x"], found["y"]
    assert len(found["grid"]) == len(y["values"])
    assert {len(line) for line in found["grid"]} == {len(x["values"])}
    drawn = random.Random(1)
    at = [(drawn.randrange(len(x["values"])), drawn.randrange(len(y["values"]))) for _ in range(count)]
    instances = [
        {**found["fixed"], x["name"]: x["values"][across], y["name"]: y["values"][down]} for across, down in at
    ]
    answer = there.client.post(f"/v1/runs/{run}/predictions", json={"instances": instances, **options})
    assert answer.status_code == 200, answer.text
    assert [found["grid"][down][across] for across, down in at] == answer.json["predictions"]
    assert found["classes"] == answer.json.get("classes")


def test_grid_holds_what_is_predicted_of_classes(there: Caller, flowers: str) -> None:
    run = there.trained(flowers, epochs=30, optimizer={"learning_rate": 0.05})
    found = regions(there, run["id"], "x=petal_width&y=sepal_length&size=20")
    assert (found["object"], found["run"], found["member"]) == ("regions", run["id"], 0)
    check_cells(there, run["id"], found)
    assert len({label for line in found["grid"] for label in line}) > 1
    columns = {column["name"]: column for column in there.get(f"/v1/datasets/{flowers}")["columns"]}
    for axis in ("x", "y"):
        column, values = columns[found[axis]["name"]], found[axis]["values"]
        assert (len(values), values[0], values[-1]) == (20, column["min"], column["max"])
        assert values == sorted(values)
    assert found["fixed"] == {name: columns[name]["mean"] for name in ("sepal_width", "petal_length")}


def test_points_are_rows_with_their_own_split(there: Caller, flowers: str) -> None:
    run = there.trained(flowers, epochs=1, test={"fraction": 0.2}, validation={"fraction": 0.1})
    points = regions(there, run["id"], "x=petal_width&y=sepal_length")["points"]
    rows = there.get(f"/v1/datasets/{flowers}/rows?limit=1000")
    place = {name: rows["columns"].index(name) for name in ("petal_width", "sepal_length", "species")}
    known = {tuple(row[at] for at in place.values()) for row in rows["rows"]}
    assert {tuple(point[:3]) for point in points} <= known
    counts = {split: sum(point[3] == split for point in points) for split in ("train", "validation", "test")}
    assert counts == {"train": run["rows"]["train"], "validation": run["rows"]["validation"], "test": 0}


def test_points_say_the_split_that_the_table_says(there: Caller) -> None:
    words = ["train", "validation", "test"]
    lines = [f"{i % 7},{i % 5},{'ab'[i % 2]},{words[i % 3]},{i}" for i in range(1500)]
    dataset = there.dataset("a,b,y,part,row\n" + "\n".join(lines))
    run = there.trained(dataset, "y", epochs=1, features=["row", "b"], validation={"column": "part"})
    points = regions(there, run["id"])["points"]
    assert len(points) == 500
    for row, b, label, split in points:
        assert (b, label, split) == (row % 5, "ab"[row % 2], words[row % 3])
    assert points == sorted(points)
    assert points[0][0] < 5
    assert points[-1][0] > 1490


def test_every_type_of_column_can_be_an_axis(there: Caller, rooms: str) -> None:
    run = there.trained(rooms, "price", epochs=3)["id"]
    columns = {column["name"]: column for column in there.get(f"/v1/datasets/{rooms}")["columns"]}
    names = ["size", "rooms", "colour", "garden", "sold_at", "quality"]
    for x, y in zip(names, names[1:] + names[:1], strict=True):
        for x, y in ((x, y), (y, x)):  # noqa: PLW2901, B020
            found = regions(there, run, f"x={x}&y={y}&size=7")
            check_cells(there, run, found, 20)
            assert found["fixed"].keys() == set(names) - {x, y}
            assert found["classes"] is None
            assert {len(point) for point in found["points"]} == {4}
    found = regions(there, run, "x=colour&y=garden")
    commonest = [each["value"] for each in columns["colour"]["categories"]]
    assert (found["x"]["values"], found["y"]["values"]) == (commonest, [False, True])
    found = regions(there, run, "x=sold_at&y=size&size=3")
    assert found["x"]["values"] == [f"2026-01-{day}.000000Z" for day in ("01T10:00:00", "14T22:00:00", "28T10:00:00")]
    assert found["fixed"]["colour"] == commonest[0]
    assert all(point[0].startswith("2026-01-") for point in found["points"])


def test_several_numbers_and_several_booleans_are_arrays(there: Caller, rooms: str) -> None:
    run = there.trained(rooms, ["price", "size"], epochs=1)["id"]
    found = regions(there, run, "size=4")
    check_cells(there, run, found)
    assert {len(cell) for line in found["grid"] for cell in line} == {2}
    labels = there.dataset(
        "a,b,c,d\n" + "".join(f"{i},{i % 7},{str(i % 2 < 1).lower()},{str(i > 20).lower()}\n" for i in range(60))
    )
    run = there.trained(labels, ["c", "d"], epochs=2)["id"]
    found = regions(there, run, "size=5")
    check_cells(there, run, found)
    assert found["classes"] == ["c", "d"]
    assert all(isinstance(each, bool) for each in found["grid"][0][0] + found["points"][0][2])


def test_member_fold_and_ensemble_are_meant_as_in_predictions(there: Caller, flowers: str) -> None:
    sweep = there.trained(flowers, epochs=2, sweep={"seed": [0, 1]})
    for member in (0, 1):
        found = regions(there, sweep["id"], f"member={member}&size=8")
        assert found["member"] == member
        check_cells(there, sweep["id"], found, member=member)
    folds = there.trained(flowers, epochs=1, validation={"folds": 3})
    found = regions(there, folds["id"], "size=8")
    check_cells(there, folds["id"], found)
    assert found["member"] is None
    assert len(found["points"]) == 150
    own = [regions(there, folds["id"], f"member={member}")["points"] for member in range(3)]
    validated = [[point[3] == "validation" for point in points] for points in own]
    assert [sum(each) for each in zip(*validated, strict=True)] == 150 * [1]  # each row in one fold
    check_cells(there, folds["id"], regions(there, folds["id"], "member=2&size=3"), member=2)


def test_epoch_is_the_one_that_is_kept(there: Caller, flowers: str) -> None:
    run = there.trained(flowers, epochs=4, sweep={"seed": [0, 1]})
    best = run["best"]
    assert regions(there, run["id"], f"epoch={best['epoch']}&size=3") == regions(there, run["id"], "size=3")
    refused(there, run["id"], f"epoch={best['epoch'] + 1}", "epoch", f"{best['epoch']}, or absent")
    folds = there.trained(flowers, epochs=1, validation={"folds": 2})["id"]
    refused(there, folds, "epoch=1", "epoch", "absent")


def test_what_is_wrong_is_named(there: Caller, flowers: str) -> None:
    run = there.trained(flowers, epochs=1)["id"]
    for query, path, words in (
        ("x=species", "x", "a feature of the run: sepal_length"),
        ("y=", "y", "a feature of the run"),
        ("x=petal_width&y=petal_width", "y", "another feature than x"),
        ("size=1", "size", "from 2 to 256"),
        ("size=257", "size", "from 2 to 256"),
        ("member=1", "member", "from 0 to 0"),
        ("epoch=-1", "epoch", "a whole number"),
        ("z=1", "z", "unknown"),
    ):
        refused(there, run, query, path, words)
    alone = there.trained(flowers, epochs=1, features=["petal_width"])["id"]
    refused(there, alone, "", "y", "a second feature")
    queued = there.run(flowers)["id"]
    assert there.client.get(f"/v1/runs/{queued}/regions").status_code == 409
    there.client.post(f"/v1/runs/{queued}/cancel")
    assert there.client.get(f"/v1/runs/run_{'0' * 26}/regions").status_code == 404


def test_large_networks_have_smaller_grids(there: Caller, flowers: str) -> None:
    layers = [{"units": 2048, "activation": "relu"}, {"units": 2048, "activation": "relu"}]
    run = there.trained(flowers, epochs=1, network={"layers": layers})["id"]
    refused(there, run, "size=256", "size", "from 2 to 68")
    assert len(regions(there, run)["grid"]) == 64


def test_run_whose_dataset_is_gone_still_has_a_surface(there: Caller, mixed: str) -> None:
    dataset = there.dataset(mixed)
    run = there.trained(dataset, "price", epochs=1)["id"]
    assert there.client.delete(f"/v1/datasets/{dataset}").status_code == 204
    for query in ("x=size&y=sold_at", "x=colour&y=garden", "x=rooms&y=size"):
        found = regions(there, run, f"{query}&size=5")
        check_cells(there, run, found)
        assert found["points"] == []


def test_odd_columns_have_axes_too(there: Caller) -> None:
    """Constant, empty, huge and tiny columns, and one whose name means something in a URL."""
    lines = [f"5,,{(-1) ** i * 1.7e308},{i * 1e-320},{i},{'pq'[i % 2]}" for i in range(40)]
    dataset = there.dataset('same,empty,huge,tiny,"a&b=#",y\n' + "\n".join(lines))
    run = there.trained(dataset, "y", epochs=1, features=["same", "empty", "huge", "tiny", "a&b=#"])["id"]
    for x in ("same", "empty", "huge", "tiny"):
        found = regions(there, run, f"x={x}&y=a%26b%3D%23&size=6")
        check_cells(there, run, found)


def refused(there: Caller, run: str, query: str, path: str, words: str) -> None:
    answer = there.client.get(f"/v1/runs/{run}/regions?{query}")
    assert answer.status_code == 422, answer.text
    assert words in " ".join(answer.json["errors"][path]), answer.text
