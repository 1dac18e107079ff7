"""A real worker on a real broker, its runs made in the database without an API, so that a test starts in seconds."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from service.supervision.embedded_valkey import command, find_server, socket_in
from store import datasets, events, runs, tenants, workers
from store.blobs import Blobs
from store.database import Database
from store.processes import ProcessIdentity
from store.runs import Run
from store.settings import Settings
from store.tabular import ImportOptions, import_table
from workers.app import create_app
from workers.bells import TASK

Answer = TypeVar("Answer")

IRIS = Path(__file__).parents[2] / "examples" / "iris.csv"
PATIENCE_SECONDS = 60.0
SPEC = {
    "target": "species",
    "features": ["sepal_length", "sepal_width", "petal_length", "petal_width"],
    "task": "multiclass",
    "network": {"layers": [{"units": 32, "activation": "relu"}]},
    "initialization": "he",
    "scaling": "standard",
    "loss": "cross_entropy",
    "optimizer": {"name": "adam", "learning_rate": 0.01, "betas": [0.9, 0.999]},
    "epochs": 20,
    "batch_size": 32,
    "validation": {"fraction": 0.2},
    "test": {"fraction": 0.2},
    "seed": 0,
    "split_seed": 0,
    "sweep": None,
    "sample_weight": None,
    "class_weights": None,
}


def wait_for(look: Callable[[], Answer], seconds: float = PATIENCE_SECONDS) -> Answer:
    """What `look` answers once that is true; fails the test if it never is."""
    until = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < until, f"not so after {seconds} seconds"
        time.sleep(0.01)
    return answer


def alive(pid: int) -> bool:
    alive = ProcessIdentity.of(pid).is_alive()
    assert alive is not None
    return alive


class Yard:
    """A database, a folder of blobs and a broker; processes that are started here end here."""

    def __init__(self, folder: Path, sockets: Path, url: str, **settings: Any) -> None:
        self.settings = Settings(
            data_dir=folder,
            database_url=url,
            redis_url=f"redis+socket://{socket_in(sockets)}",
            heartbeat_seconds=1.0,
            lease_seconds=6.0,
            reconcile_seconds=1.0,
            **settings,
        )
        self.sockets = sockets
        self.database = Database(url)
        self.blobs = Blobs(self.settings.blobs, folder / "cache")
        self.log = folder / "log"
        self._started: list[subprocess.Popen[bytes]] = []
        self.start_broker()
        self._app = create_app(self.settings)
        self.dataset = self._upload()

    def start_broker(self) -> None:
        self._broker = self._start(command(find_server(), self.sockets))
        wait_for(socket_in(self.sockets).exists)

    def kill_broker(self) -> None:
        self._broker.kill()
        self._broker.wait()
        socket_in(self.sockets).unlink()

    def start_worker(self, **settings: Any) -> subprocess.Popen[bytes]:
        """Once its children are warm; what is set otherwise for it alone is given by name."""
        worker = self._start([sys.executable, "-m", "workers"], **settings)
        slots = settings.get("slots", self.settings.slots)
        wait_for(lambda: any(each.pid == worker.pid and len(each.slots) == slots for each in self.workers()))
        return worker

    def start_reconciler(self) -> subprocess.Popen[bytes]:
        return self._start([sys.executable, "-m", "workers.reconciler"])

    def workers(self) -> list[workers.Worker]:
        with self.database.read() as tx:
            return workers.list_all(tx, tenants.LOCAL)

    def child_of(self, worker: subprocess.Popen[bytes]) -> int:
        (slot,) = next(each for each in self.workers() if each.pid == worker.pid).slots
        return slot.pid

    def add_run(self, *, ring: bool = True, queue: str = "cpu", **spec: Any) -> str:
        with self.database.write() as tx:
            run = runs.insert(
                tx,
                tenants.LOCAL,
                dataset=self.dataset,
                spec=SPEC | spec,
                task="multiclass",
                rows={},
                warnings=[],
                members=[{"overrides": {}}],
                queue=queue,
            )
        if ring:
            self.ring(queue)
        return run.id

    def ring(self, queue: str = "cpu") -> None:
        with self._app.connection_for_write() as connection:
            self._app.send_task(TASK, queue=queue, connection=connection, ignore_result=True)

    def ask(self, id: str, verb: runs.Verb) -> None:
        with self.database.write() as tx:
            runs.request(tx, tenants.LOCAL, id, verb)

    def run(self, id: str) -> Run:
        with self.database.read() as tx:
            return runs.get(tx, tenants.LOCAL, id)

    def reached(self, id: str, status: str) -> Run:
        return wait_for(lambda: (run := self.run(id)).status == status and run)

    def in_mid_run(self, id: str) -> Run:
        return wait_for(lambda: (run := self.run(id)).status == "running" and (run.progress or {}).get("epoch") and run)

    def events(self, id: str) -> list[events.Event]:
        with self.database.read() as tx:
            return events.page(tx, tenants.LOCAL, id, limit=1000).data

    def close(self) -> None:
        for process in reversed(self._started):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.database.close()

    def _start(self, arguments: list[str], **settings: Any) -> subprocess.Popen[bytes]:
        values = {
            "DATA_DIR": self.settings.data_dir,
            "DATABASE_URL": self.settings.database_url,
            "REDIS_URL": self.settings.redis_url,
            "HEARTBEAT_SECONDS": self.settings.heartbeat_seconds,
            "LEASE_SECONDS": self.settings.lease_seconds,
            "RECONCILE_SECONDS": self.settings.reconcile_seconds,
            "DRAIN_SECONDS": self.settings.drain_seconds,
            "CHECKPOINT_SECONDS": self.settings.checkpoint_seconds,
            "SLOTS": self.settings.slots,
            "QUEUES": self.settings.queues,
        }
        values |= {name.upper(): value for name, value in settings.items()}
        environment = os.environ | {f"LEARND_{name}": str(value) for name, value in values.items()}
        with self.log.open("ab") as log:
            # A group of its own, as systemd gives one: signals to it reach its children too.
            process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log, start_new_session=True)
        self._started.append(process)
        return process

    def _upload(self) -> str:
        parquet = self.blobs.scratch / "iris.parquet"
        table = import_table(IRIS, "csv", ImportOptions(), parquet)
        self.blob = self.blobs.put(parquet)
        with self.database.write() as tx:
            return datasets.insert(
                tx,
                tenants.LOCAL,
                name="iris",
                rows=table.rows,
                bytes=IRIS.stat().st_size,
                sha256="0" * 64,
                columns=table.columns,
                warnings=table.warnings,
                blob=self.blob,
            ).id
