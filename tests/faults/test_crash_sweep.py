"""A process ends at each commit, fsync and rename in turn: whoever comes after finds everything, and ends alike."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, union, update

from store import analyses, belonging, datasets, runs, tables, tenants
from store.blobs import Blobs
from store.database import Database
from store.moments import now
from store.purging import forget_pins, purge
from store.references import NAMES
from store.runs import Run
from store.settings import Settings
from store.states import FINAL
from store.sweeping import sweep
from store.tabular import ImportOptions, import_table
from tests.faults import history
from tests.faults.client import Answer
from tests.faults.crashing import MORE, Ended, Nursery
from tests.workers.running import IRIS, SPEC

EPOCHS = 7
INTERRUPTIONS = ["pause", "drain", "extend"]


@dataclass
class Ward:
    """A database, blobs and the processes that end in it."""

    settings: Settings
    database: Database
    blobs: Blobs
    live: Callable[..., Ended]
    log: list[Answer] = field(default_factory=list)

    def upload(self, name: str = "iris") -> str:
        out = self.settings.data_dir / "table"
        table = import_table(IRIS, "csv", ImportOptions(), out)
        facts: dict[str, Any] = {"rows": table.rows, "bytes": 9, "columns": table.columns, "warnings": []}
        with self.database.write() as tx:
            key = self.blobs.put(out)
            return datasets.insert(tx, tenants.LOCAL, name=name, sha256="a" * 64, blob=key, **facts).id

    def add_run(self, dataset: str, epochs: int = EPOCHS) -> str:
        made: dict[str, Any] = {"spec": SPEC | {"epochs": epochs}, "task": "multiclass", "rows": {}, "warnings": []}
        with self.database.write() as tx:
            return runs.insert(tx, tenants.LOCAL, dataset=dataset, members=[{}], **made).id

    def run(self, id: str) -> Run:
        with self.database.read() as tx:
            return runs.get(tx, tenants.LOCAL, id)

    def ask(self, id: str, verb: runs.Verb) -> None:
        with self.database.write() as tx:
            runs.request(tx, tenants.LOCAL, id, verb)

    def recover(self, id: str) -> Run:
        """Others do what is left: a reconciler, a caller who wants it trained to its last epoch, a worker."""
        for _ in range(3):
            self.live("reconcile")
            self.go_on(id)
            self.wait_out()
            self.live("work", interruptions=[])
            if (run := self.run(id)).status in FINAL and run.progress["epoch"] == EPOCHS:
                return run
        raise AssertionError(f"{run.status} after {run.attempt} attempts")

    def go_on(self, id: str) -> None:
        run = self.run(id)
        with self.database.write() as tx:
            if run.status == "paused":
                runs.request(tx, tenants.LOCAL, id, "resume")
            elif run.status == "succeeded":
                runs.extend(tx, tenants.LOCAL, id, EPOCHS)

    def wait_out(self) -> None:
        """The time that a backoff or the reservation of a key lasts is over."""
        with self.database.write() as tx:
            tx.execute(update(tables.runs).values(due_at=now()))
            keys = tables.idempotency_keys
            tx.execute(update(keys).where(keys.c.status.is_(None)).values(expires_at=now()))

    def delete(self, id: str) -> None:
        with self.database.write() as tx:
            runs.delete(tx, tenants.LOCAL, id)

    def check(self) -> None:
        """No rule is broken, and what rows name is there and whole."""
        history.check(self)
        with self.database.read() as tx:
            named = set(tx.execute(union(*map(select, NAMES))).scalars()) - {None}
        for key in named:
            self.blobs.get(key)

    def is_tidy(self) -> None:
        """What nobody names any more is deleted, and nothing else."""
        assert belonging.check(self.database, self.blobs, first=True), "as the next API does when it starts"
        forget_pins(self.database, older_than=-1.0)
        purge(self.database, self.blobs, 0.0)
        assert sweep(self.database, self.blobs, older_than=-1.0) == 0, "nothing but the database's own notes is needed"
        with self.database.read() as tx:
            assert {*self.blobs.old(-1.0)} == set(tx.execute(select(tables.datasets.c.blob)).scalars())
        assert not list(self.blobs.scratch.iterdir())


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    nursery = Nursery(tmp_path_factory.mktemp("nursery") / "output")
    yield nursery
    nursery.close()


@pytest.fixture
def ward(tmp_path: Path, database: Database, nursery: Nursery) -> Ward:
    settings = Settings(data_dir=tmp_path, database_url=database.url)
    return Ward(settings, database, Blobs(settings.blobs, tmp_path / "cache"), partial(nursery.live, settings))


def swept(live: Callable[[int], Ended], points: int, chance: random.Random | None) -> list[int]:
    """At which points it ended: at all of them, or at some, others each time."""
    chosen = sorted(chance.sample(range(1, points + 1), 5)) if chance else range(1, points + 1)
    for point in chosen:
        live(point)
    return list(chosen)


def assert_ended(ended: Ended, point: int) -> None:
    """At the point, unless it did not come so far: how often a worker reports depends on the clock."""
    assert ended.crashed == (point > 0) or ended.points < point


def test_a_worker_that_ends_anywhere_in_the_life_of_a_run(ward, full, chance, tell):
    dataset = ward.upload()
    quiet = ward.add_run(dataset)
    ward.live("work", interruptions=[])
    wanted = ward.run(quiet).weights_sha256
    assert wanted
    ward.delete(quiet)

    def live(point: int) -> Ended:
        id = ward.add_run(dataset, EPOCHS - MORE)
        ended = ward.live("work", crash_at=point, interruptions=INTERRUPTIONS)
        assert_ended(ended, point)
        ward.check()
        run = ward.recover(id)
        assert (run.status, run.weights_sha256, run.progress["epoch"]) == ("succeeded", wanted, EPOCHS), point
        assert run.crashes <= 1
        ward.check()
        ward.delete(id)
        ward.is_tidy()
        return ended

    points = live(0).points
    tell(f"{points} points, ended at {swept(live, points, None if full else chance)}")


def test_a_reconciler_that_ends_anywhere_while_it_takes_work_back(ward, full, chance, tell):
    dataset = ward.upload()
    analysed = ward.add_run(dataset)
    ward.live("work", interruptions=[])

    def live(point: int) -> Ended:
        with ward.database.write() as tx:
            tx.execute(delete(tables.analyses))
            analyses.ask(tx, tenants.LOCAL, analysed, "evaluation", "test")
        wanted = {ward.add_run(dataset): status for status in ("queued", "paused", "cancelled", "failed")}
        lost, pausing, cancelling, hopeless = wanted
        ward.live("abandon", count=4)
        ward.ask(pausing, "pause")
        ward.ask(cancelling, "cancel")
        with ward.database.write() as tx:
            tx.execute(update(tables.runs).where(tables.runs.c.id == hopeless).values(crashes=2))
        ended = ward.live("reconcile", crash_at=point)
        assert_ended(ended, point)
        ward.check()
        ward.live("reconcile")
        ward.check()
        found = {id: ward.run(id) for id in wanted}
        assert {id: run.status for id, run in found.items()} == wanted
        assert [run.crashes for run in found.values()] == [1, 1, 1, 3]
        with ward.database.read() as tx:
            assert tx.execute(select(tables.analyses.c.status, tables.analyses.c.crashes)).one() == ("pending", 1)
        ward.ask(lost, "cancel")
        ward.ask(pausing, "cancel")
        for id in wanted:
            ward.delete(id)
        return ended

    points = live(0).points
    tell(f"{points} points, ended at {swept(live, points, None if full else chance)}")


def request(name: str, method: str, path: str, data: Any = "", *, key: bool = False) -> dict[str, Any]:
    """What is answered is known as `name`, and named in later requests as <name>."""
    body = data if isinstance(data, str) else json.dumps(data)
    media = "text/csv" if path.startswith("/v1/datasets") else "application/json"
    return {"name": name, "method": method, "path": path, "data": body, "content_type": media, "key": key}


RUN = {"dataset": "<dataset>", "target": "species", "network": "<network>", "epochs": 2}
REQUESTS = [
    request("dataset", "POST", "/v1/datasets?name=iris", IRIS.read_text(), key=True),
    request("network", "POST", "/v1/networks", {"layers": [{"units": 4}]}, key=True),
    request("run", "POST", "/v1/runs", RUN, key=True),
    request("run", "POST", "/v1/runs/<run>/pause"),
    request("run", "POST", "/v1/runs/<run>/resume"),
    request("run", "POST", "/v1/runs/<run>/cancel"),
    request("run", "DELETE", "/v1/runs/<run>"),
    request("done", "POST", "/v1/runs/<done>/extend", {"to_epochs": 3}, key=True),
    request("done", "POST", "/v1/runs/<done>/cancel"),
    request("done", "DELETE", "/v1/runs/<done>"),
    request("network", "DELETE", "/v1/networks/<network>"),
    request("dataset", "DELETE", "/v1/datasets/<dataset>"),
]


def test_an_api_that_ends_anywhere_while_it_answers(ward, full, chance, tell):
    count = 0

    def answered(requests: list[dict[str, Any]], known: dict[str, str], point: int = 0) -> Ended:
        """Told to the checker; what was created is known from now on."""
        ended = ward.live("ask", crash_at=point, requests=requests, known=known)
        for sent, answer in zip(requests, ended.told, strict=False):
            id, status = answer["body"].get("id"), answer["status"]
            key = sent["headers"].get("Idempotency-Key")
            ward.log.append(Answer(sent["method"], answer["path"], key, status, id))
            if status < 300 and id:
                known[sent["name"]] = id
        return ended

    def live(point: int) -> Ended:
        nonlocal count
        count += 1
        headers = [
            {"Idempotency-Key": f"{place}-{count}"} if each["key"] else {} for place, each in enumerate(REQUESTS)
        ]
        requests = [{**each, "headers": own} for each, own in zip(REQUESTS, headers, strict=True)]
        first = {"dataset": ward.upload()}
        body = {**RUN, "dataset": "<dataset>", "network": {"layers": []}}
        known: dict[str, str] = {}
        answered([{**request("done", "POST", "/v1/runs", body), "headers": {}}], first)
        ward.live("work", interruptions=[])
        known["done"] = first["done"]
        ended = answered(requests, known, point)
        assert_ended(ended, point)
        rest = requests[len(ended.told) :]
        if rest and rest[0]["method"] != "DELETE":  # of which nobody knows what came of it
            ward.check()
        if rest:
            (again,) = answered(rest[:1], known).told
            if again["status"] == 409:  # the key is still the dead request's
                assert "Retry-After" in again["headers"]
                ward.wait_out()
                (again,) = answered(rest[:1], known).told
            gone = rest[0]["method"] == "DELETE" and again["status"] == 404
            assert gone or again["status"] < 300, again
            if gone:
                ward.log.append(Answer("DELETE", again["path"], None, 204))
            told = answered(rest[1:], known).told
            assert [answer["status"] < 300 for answer in told] == [True] * len(rest[1:]), told
        ward.check()
        answered([{**request("dataset", "DELETE", f"/v1/datasets/{first['dataset']}"), "headers": {}}], {})
        with ward.database.read() as tx:
            left = [tx.execute(select(table)).all() for table in (tables.runs, tables.datasets, tables.networks)]
        assert left == [[], [], []]
        ward.is_tidy()
        return ended

    points = live(0).points
    tell(f"{points} points, ended at {swept(live, points, None if full else chance)}")
