"""Predictions by a model go on while PostgreSQL is down, for whoever predicted a moment ago, and come back with it."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service import access
from service.serving import versions
from store import keys, tenants
from store.migrating import upgrade
from tests.faults.postgresql import PostgreSQL
from tests.functional.running import wait_for
from tests.service.callers import Caller

ROWS = {"instances": [[5.1, 3.5, 1.4, 0.2]]}


@pytest.fixture
def postgresql(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgreSQL]:
    # Not in pytest's own folder: as root the server runs as another user, to whom that folder is closed.
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # what it acknowledged need not survive the machine
    with tempfile.TemporaryDirectory(prefix="learnd-pg-", dir=place) as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)  # where the package keeps its lock; it warns if there is none
        server = PostgreSQL(Path(folder) / "data")
        upgrade(server.url)
        yield server
        if server.is_running():
            server.stop_hard()


@pytest.fixture
def caller(new_caller: Callable[..., Caller], postgresql: PostgreSQL, iris: str) -> Caller:
    """With two versions of `iris`, the first of which is `prod`."""
    caller = new_caller(database_url=postgresql.url)
    run = caller.trained(caller.dataset(iris), epochs=2)
    for alias in ({"alias": "prod"}, {}):
        answer = caller.client.post("/v1/models", json={"name": "iris", "run": run["id"], **alias})
        assert answer.status_code == 201
    return caller


def test_who_predicts_goes_on_while_the_database_is_down(
    caller: Caller, postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FRESH_SECONDS", "SURE_SECONDS"):  # what is known is too old at once
        monkeypatch.setattr(versions, name, 0.0)
    monkeypatch.setattr(access, "_REMEMBERED_SECONDS", 0.0)
    headers: dict[str, str] = {}

    def predict(ref: str = "iris@prod") -> tuple[int, str | None]:
        answer = caller.client.post(f"/v1/models/{ref}/predictions", json=ROWS, headers=headers)
        return answer.status_code, answer.json.get("model")

    def point(version: int) -> int:
        asked = {"json": {"version": version}, "headers": headers}
        return caller.client.put("/v1/models/iris/aliases/prod", **asked).status_code

    for version in (1, 2):  # who comes by address, and who has a key
        wait_for(lambda version=version: point(version) == 200)
        assert predict() == (200, f"iris:{version}")
        postgresql.stop_hard()
        for _ in range(20):
            assert predict() == (200, f"iris:{version}")
        assert predict("iris:1") == (503, None), "nobody has asked for it before"
        assert point(1) == 503
        if version == 1:
            postgresql.start()
            with caller.parts.database.write() as tx:
                headers["Authorization"] = f"Bearer {keys.create(tx, tenants.LOCAL, ['predict', 'write'])}"
    for module in (versions, access):
        with monkeypatch.context() as patch:
            patch.setattr(module, "LAST_SECONDS", 0.0)
            assert predict() == (503, None)
        assert predict() == (200, "iris:2")
