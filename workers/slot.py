"""A slot: the process in which runs are trained, warm before the first one comes. Importing it loads torch."""

import gc
import os
import socket
import threading
from pathlib import Path
from typing import Any

import structlog
import torch

from learning.columns import CategoricalColumn, Column, NumericColumn
from learning.experiment import prepare
from learning.fitting import fit
from store import analysing, batching, belonging, claims, workers
from store.belonging import WrongStore
from store.blobs import Blobs
from store.claims import Claim
from store.database import Database
from store.errors import Unavailable
from store.processes import ProcessIdentity, die_with_parent
from store.settings import Settings
from workers.analysing import analyse
from workers.batch_predicting import predict_batch
from workers.drain import Drain
from workers.driving import Place, drive
from workers.reading import Tables

log = structlog.get_logger(__name__)

_DATABASE_SECONDS = 3.0  # training does not wait long for a database that is away
_OOM_SCORE = "500"  # short of memory, the kernel is to end a training rather than the API or the database


class Slot:
    def __init__(self, settings: Settings, drain: Drain, worker: str, parent: int) -> None:
        """`worker` is the id that all slots of the parent process share."""
        die_with_parent(parent=parent)
        _offer_to_the_oom_killer()
        # Another worker on this machine would take as many again: one worker with more slots shares them out.
        threads = max(1, len(os.sched_getaffinity(0)) // settings.slots)
        torch.set_num_threads(1)  # the fit takes more where that pays; for small tensors waking them costs milliseconds
        self._worker = worker
        self._parent = parent
        self._queues = settings.queue_names
        self._owner = ProcessIdentity.current()
        self._place = Place(
            settings=settings,
            database=Database(settings.database, deadline=_DATABASE_SECONDS),
            blobs=Blobs(settings.blobs, settings.data_dir / "cache", settings.blob_timeout_seconds),
            tables=Tables(),
            drain=drain,
            device="cpu",
            threads=threads,
        )
        _warm_up(threads)
        gc.collect()
        gc.freeze()  # torch's million objects stay; looking through them again and again would pause a run
        self._leaving = threading.Event()
        self._presence = threading.Thread(target=self._be_seen, name="presence", daemon=True)
        self._presence.start()

    def work(self) -> None:
        """Claim until there is nothing: no batch prediction as long as there is a run, no analysis as long as there is
        either.
        """
        with self._place.drain.taking_sigterm():
            while not self._place.drain.is_asked and (claim := self._claim()):
                if isinstance(claim, Claim):
                    drive(claim, self._place)
                elif isinstance(claim, batching.Claim):
                    predict_batch(claim, self._place)
                else:
                    analyse(claim, self._place)
        if self._place.drain.is_mine_alone:
            self.leave()
            os._exit(os.EX_OK)  # the parent forks another; an exception would take the parent along

    def leave(self) -> None:
        self._leaving.set()
        self._presence.join()  # it would say again that this slot is here
        try:
            with self._place.database.write() as tx:
                workers.gone(tx, self._worker, self._owner.pid)
        except Unavailable:
            log.info("could not say that this slot goes; the reconciler will find out")

    def _claim(self) -> Claim | batching.Claim | analysing.Claim | None:
        me: dict[str, Any] = {"worker": self._worker, "slot_pid": self._owner.pid, "owner": self._owner}
        try:
            if not belonging.check(self._place.database, self._place.blobs):
                return None  # so there is no dataset yet, and no run
            with self._place.database.write() as tx:
                for queue in self._queues:
                    run = claims.claim(tx, **me, queues=[queue], device=self._place.device)
                    if run is not None:
                        return run
                return batching.claim(tx, **me) or analysing.claim(tx, **me)
        except Unavailable as reason:
            log.warning("nothing can be claimed while the database is away", reason=str(reason))
            return None  # the reconciler rings again
        except WrongStore as reason:
            log.critical("nothing is claimed", reason=str(reason))
            return None

    def _be_seen(self) -> None:
        while not self._leaving.is_set():
            try:
                self._say_here()
            except Unavailable as reason:
                log.warning("this slot could not say that it is here", reason=str(reason))
            except Exception:  # a slot that is silent is taken for gone
                log.exception("this slot could not say that it is here")
            self._leaving.wait(self._place.settings.heartbeat_seconds)

    def _say_here(self) -> None:
        with self._place.database.write() as tx:
            if not workers.seen(tx, self._worker, self._owner.pid):
                workers.register(
                    tx,
                    self._worker,
                    host=socket.gethostname(),
                    pid=self._parent,
                    queues=self._queues,
                    device=self._place.device,
                    slot_pid=self._owner.pid,
                    owner=self._owner,
                )


def _offer_to_the_oom_killer() -> None:
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        score.write_text(_OOM_SCORE)


def _warm_up(threads: int) -> None:
    """What the first run would otherwise wait for: torch starts its threads and makes its kernels when first used."""
    table: dict[str, Column] = {
        "x": NumericColumn(torch.arange(8, dtype=torch.float64)),
        "y": CategoricalColumn(torch.arange(8, dtype=torch.int32) % 2, ("a", "b")),
    }
    spec = {
        "target": "y",
        "features": ["x"],
        "task": "binary",
        "network": {"layers": [{"units": 2, "activation": "relu"}]},
        "initialization": "he",
        "scaling": "standard",
        "loss": "binary_cross_entropy",
        "optimizer": {"name": "adam", "learning_rate": 0.1, "betas": [0.9, 0.999]},
        "epochs": 1,
        "batch_size": 2,
        "validation": {"fraction": 0.25},
        "test": {"fraction": 0.0},
        "sweep": {"seed": [0, 1]},
        "seed": 0,
        "split_seed": 0,
    }
    experiment = prepare(spec, table)
    for pulse in fit(experiment.members, experiment.data, threads=threads):
        pulse.trained().sha256(0)
