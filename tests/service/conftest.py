"""The real application, each on a database and a folder of its own."""

import csv
import io
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from store.settings import Settings
from tests.service.callers import Caller
from tests.service.refusals import House

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def new_caller(sqlite_template: Path) -> Iterator[Callable[..., Caller]]:
    folders = []
    callers = []

    def make(**settings: Any) -> Caller:
        folder = Path(tempfile.mkdtemp(prefix="learnd-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
        folders.append(folder)
        shutil.copy(sqlite_template, folder)
        app = create_app(Settings(data_dir=folder, **settings))
        callers.append(Caller(app, app.test_client()))
        return callers[-1]

    yield make
    for caller in callers:
        caller.parts.database.close()
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture
def caller(new_caller: Callable[..., Caller]) -> Caller:
    return new_caller()


@pytest.fixture(scope="session")
def iris() -> str:
    return (EXAMPLES / "iris.csv").read_text()


@pytest.fixture(scope="session")
def mixed() -> str:
    """A column of every type, with some cells missing: the target `price` in two rows too."""
    drawn = random.Random(7)
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["size", "rooms", "colour", "garden", "sold_at", "note", "price", "quality"])
    for index in range(120):
        colour = drawn.choice(["red", "green", "blue"])
        garden = drawn.choice(["true", "false"])
        size = round(drawn.uniform(20, 200), 2)
        price = round(3 * size + (50 if garden == "true" else 0) + drawn.gauss(0, 5), 2)
        rows.writerow(
            [
                "" if index in (3, 50) else size,
                drawn.randint(1, 6),
                "" if index == 9 else colour,
                garden,
                f"2026-01-{1 + index % 28:02d}T10:00:00Z",
                f"a text that stands only here, in row {index}, and nowhere else at all: {drawn.random()}",
                "" if index in (5, 6) else price,
                drawn.randint(1, 3),
            ]
        )
    return out.getvalue()


@pytest.fixture(scope="session")
def house(new_caller: Callable[..., Caller], iris: str, mixed: str) -> House:
    caller = new_caller(max_upload_bytes=100_000, max_members=8)
    dataset = caller.dataset(iris)
    ids = {
        "iris": dataset,
        "mixed": caller.dataset(mixed),
        "boolean": caller.dataset("a,b,c\n" + "1,true,false\n2,false,true\n" * 10),
        "run": caller.trained(dataset, epochs=2, sweep={"seed": [0, 1]})["id"],
        "folded": caller.trained(dataset, epochs=1, validation={"folds": 2})["id"],
        "queued": caller.run(dataset)["id"],
    }
    assert (
        caller.client.post("/v1/models", json={"name": "iris", "run": ids["run"], "alias": "prod"}).status_code == 201
    )
    return House(caller, ids)
