"""What a client of the application needs: datasets, runs, and somebody who trains."""

from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.parts import Parts
from store import analysing, batching, claims
from store.processes import ProcessIdentity
from store.purging import purge
from workers.analysing import analyse
from workers.batch_predicting import predict_batch
from workers.drain import Drain
from workers.driving import Place, drive
from workers.reading import Tables


@dataclass(frozen=True)
class Caller:
    """A client, and the few requests that most tests begin with."""

    app: Flask
    client: FlaskClient

    @property
    def parts(self) -> Parts:
        return self.app.extensions["learnd"]

    def send(self, table: str | bytes, query: str = "name=table", **options: Any) -> TestResponse:
        known = {"content_type": "text/csv", **options}
        return self.client.post(f"/v1/datasets?{query}", data=table, **known)

    def dataset(self, table: str | bytes, query: str = "name=table") -> str:
        answer = self.send(table, query)
        assert answer.status_code == 201, answer.text
        return answer.json["id"]

    def ask(self, dataset: str, target: Any = "species", query: str = "", **spec: Any) -> TestResponse:
        return self.client.post(f"/v1/runs{query}", json={"dataset": dataset, "target": target, **spec})

    def run(self, dataset: str, target: Any = "species", **spec: Any) -> dict[str, Any]:
        answer = self.ask(dataset, target, **spec)
        assert answer.status_code == 202, answer.text
        return answer.json

    def get(self, path: str, status: int = 200, **options: Any) -> Any:
        answer = self.client.get(path, **options)
        assert answer.status_code == status, answer.text
        return answer.json

    @property
    def place(self) -> Place:
        made = self.parts
        return Place(made.settings, made.database, made.blobs, Tables(), Drain(), "cpu", 1)

    def purge(self) -> int:
        """Delete the bytes of all that has been deleted, as the reconciler does a while later."""
        return purge(self.parts.database, self.parts.blobs, 0.0)

    def train(self) -> None:
        """Every run that waits is trained, here and now, as a worker does it."""
        here, place = ProcessIdentity.current(), self.place
        while True:
            with self.parts.database.write() as tx:
                claim = claims.claim(tx, worker="wk_test", slot_pid=here.pid, owner=here)
            if claim is None:
                return
            drive(claim, place)

    def analyse(self) -> None:
        """Every analysis that waits is made, likewise."""
        here, place = ProcessIdentity.current(), self.place
        while True:
            with self.parts.database.write() as tx:
                claim = analysing.claim(tx, worker="wk_test", slot_pid=here.pid, owner=here)
            if claim is None:
                return
            analyse(claim, place)

    def predict_batches(self) -> None:
        """Every batch prediction that waits is made, likewise."""
        here, place = ProcessIdentity.current(), self.place
        while True:
            with self.parts.database.write() as tx:
                claim = batching.claim(tx, worker="wk_test", slot_pid=here.pid, owner=here)
            if claim is None:
                return
            predict_batch(claim, place)

    def trained(self, dataset: str, target: Any = "species", **spec: Any) -> dict[str, Any]:
        run = self.run(dataset, target, **{"epochs": 5, **spec})
        self.train()
        found = self.get(f"/v1/runs/{run['id']}")
        assert found["status"] == "succeeded", found["error"]
        return found
