"""A tenant with a dataset, and the few steps of a run's life that most of the store's tests begin with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete

from store import claims, datasets, finishing, leases, runs, tenants
from store.chunks import Chunk
from store.claims import Claim
from store.database import Database
from store.datasets import Dataset
from store.finishing import Result
from store.leases import Report
from store.members import MemberReport
from store.processes import ProcessIdentity
from store.references import unreferenced
from store.runs import Run
from store.tables import blob_deletions

BEST = {"epoch": 1, "metric": "train.loss", "value": 0.5}


@dataclass(frozen=True)
class House:
    """Each step is a transaction of its own, as in the service and the workers."""

    database: Database
    tenant: str

    def add_dataset(self, name: str = "iris", **changes: Any) -> Dataset:
        known: dict[str, Any] = {"rows": 3, "bytes": 9, "sha256": "a" * 64, "columns": [], "warnings": [], "blob": name}
        with self.database.write() as tx:
            return datasets.insert(tx, self.tenant, name=name, **{**known, **changes})

    def add_run(self, dataset: str | None = None, **changes: Any) -> Run:
        known: dict[str, Any] = {"spec": {"seed": 0}, "task": "multiclass", "rows": {"train": 3}, "warnings": []}
        known |= {"members": [{"overrides": {}}], "dataset": dataset or self.add_dataset().id}
        with self.database.write() as tx:
            return runs.insert(tx, self.tenant, **{**known, **changes})

    def claim(self, **changes: Any) -> Claim:
        claimed = self.try_claim(**changes)
        assert claimed is not None
        return claimed

    def try_claim(self, **changes: Any) -> Claim | None:
        known = {"worker": "wk_1", "slot_pid": 7, "owner": ProcessIdentity.current()}
        with self.database.write() as tx:
            return claims.claim(tx, **{**known, **changes})

    def start(self, epoch: int = 0, **changes: Any) -> Claim:
        """A run that is claimed, and of which `epoch` epochs have been reported."""
        self.add_run(**changes)
        claimed = self.claim()
        if epoch:
            self.record(claimed, epoch)
        return claimed

    def record(self, claim: Claim, epoch: int, **changes: Any) -> str | None:
        told = {"epoch": epoch, "metrics": {"train": {"loss": 1 / epoch}}}
        report = {"progress": {"epoch": epoch}, "metrics": told["metrics"], "best": BEST, "told": told}
        with self.database.write() as tx:
            return leases.record(tx, claim.run_id, claim.attempt, Report(**{**report, **changes}))

    def succeed(self, claim: Claim, **changes: Any) -> str:
        result: dict[str, Any] = {"metrics": {"train": {"loss": 0.5}}, "best": {"member": 0, **BEST}}
        result |= {"members": [MemberReport(0, "succeeded", 1, BEST, weights_sha256="b" * 64)]}
        result |= {"weights_blob": "sha256/weights", "weights_sha256": "b" * 64, "device": "cpu"}
        with self.database.write() as tx:
            return finishing.succeed(tx, claim.run_id, claim.attempt, Result(**{**result, **changes}))

    def request(self, claim: Claim | Run, verb: runs.Verb) -> Run:
        with self.database.write() as tx:
            return runs.request(tx, self.tenant, claim.run_id if isinstance(claim, Claim) else claim.id, verb)

    def freed(self) -> list[str]:
        """The blobs that a purge would delete now; it would have nothing more to do."""
        with self.database.write() as tx:
            keys = tx.execute(delete(blob_deletions).returning(blob_deletions.c.key)).scalars().all()
            return unreferenced(tx, keys)

    def run(self, claim: Claim | Run) -> Run:
        with self.database.read() as tx:
            return runs.get(tx, self.tenant, claim.run_id if isinstance(claim, Claim) else claim.id)


@pytest.fixture
def house(database: Database) -> House:
    return House(database, tenants.LOCAL)


@pytest.fixture
def stranger(database: Database) -> str:
    """Another tenant, who owns nothing."""
    with database.write() as tx:
        return tenants.create(tx, "stranger")


@pytest.fixture
def chunk() -> Callable[..., Chunk]:
    def make(split: str, name: str, first_epoch: int, values: Any, steps: Sequence[int] | None = None) -> Chunk:
        """Of values [E, K]; one step an epoch, where nothing else is said."""
        array = np.asarray(values, dtype=np.float32)
        counted = range(first_epoch, first_epoch + len(array)) if steps is None else steps
        return Chunk(split, name, first_epoch, np.asarray(counted, dtype=np.int64).reshape(-1, 1), array)

    return make


@pytest.fixture
def empty_url(request, database_url):
    """A database without any table, of the kind of `database_url`."""
    if database_url.startswith("sqlite"):
        return database_url.replace("learnd.db", "empty.db")
    return request.getfixturevalue("new_postgresql")()
