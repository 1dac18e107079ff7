"""An attempt that dies at any step, and the next one, end with the bits of a run that nobody disturbed.

In one process, so that every step can be tried: the attempt is the worker's own, on a real database and real files, and
dies of an exception that nothing catches. What real signals do to real processes is tried elsewhere in this folder.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from learning import fitting
from learning.specs import drafts_of
from store import claims, datasets, events, expiry, metrics, runs, tenants
from store.blobs import Blobs
from store.database import Database
from store.processes import ProcessIdentity
from store.settings import Settings
from store.tabular import ImportOptions, import_table
from tests.workers.running import IRIS, SPEC
from workers import checkpointing
from workers.drain import Drain
from workers.driving import Place, drive
from workers.reading import Tables

LAYER = {"units": 8, "activation": "tanh", "dropout": 0.0, "normalization": None}
SPECS: dict[str, dict[str, Any]] = {
    "dropout": {"network": {"layers": [LAYER | {"dropout": 0.3}]}},
    "batch normalization": {"network": {"layers": [LAYER | {"normalization": "batch"}]}},
    "a schedule": {"schedule": {"name": "cosine", "warmup_epochs": 2, "floor": 0.0}, "early_stopping": {"patience": 3}},
    "a population": {"sweep": {"seed": list(range(8))}},
    "folds": {"validation": {"folds": 5}, "sweep": {"optimizer.learning_rate": [0.01, 0.03]}},
}
EPOCHS = 6


class Killed(BaseException):
    """No error: the process is gone."""


class Mortal(Drain):
    """Asked at every pulse whether to end; at one of them the process dies instead of answering."""

    def __init__(self, pulses: int | None) -> None:
        super().__init__()
        self.asked = 0
        self._pulses = pulses

    @property
    def is_asked(self) -> bool:
        self.asked += 1
        if self.asked == self._pulses:
            raise Killed
        return False


class Bench:
    def __init__(self, folder: Path, database: Database, checkpoint_seconds: float = 0.0) -> None:
        self.database = database
        self._blobs = Blobs(f"file://{folder / 'blobs'}", folder / "cache")
        self._settings = Settings(data_dir=folder, checkpoint_seconds=checkpoint_seconds)
        self._tables = Tables()
        parquet = folder / "iris.parquet"
        table = import_table(IRIS, "csv", ImportOptions(), parquet)
        known: dict[str, Any] = {"columns": table.columns, "warnings": [], "sha256": "0" * 64, "bytes": 1}
        with database.write() as tx:
            blob = self._blobs.put(parquet)
            self._dataset = datasets.insert(tx, tenants.LOCAL, name="iris", rows=table.rows, blob=blob, **known).id

    def queue(self, spec: dict[str, Any]) -> str:
        known: dict[str, Any] = {"task": "multiclass", "rows": {}, "warnings": []}
        members = [{"overrides": overrides, "fold": fold} for overrides, fold in drafts_of(spec)]
        with self.database.write() as tx:
            return runs.insert(tx, tenants.LOCAL, dataset=self._dataset, spec=spec, members=members, **known).id

    def attempt(self, *, dies_at: int | None = None) -> int:
        """Claims a run and drives it; how many pulses it came to."""
        drain = Mortal(dies_at)
        place = Place(
            settings=self._settings,
            database=self.database,
            blobs=self._blobs,
            tables=self._tables,
            drain=drain,
            device="cpu",
            threads=1,
        )
        with self.database.write() as tx:
            claim = claims.claim(tx, worker="wk_1", slot_pid=1, owner=ProcessIdentity.current())
        assert claim is not None
        try:
            drive(claim, place)
        except Killed:
            with self.database.write() as tx:
                (lease,) = expiry.leases(tx)
                assert expiry.expire(tx, lease.run_id, lease.attempt, lease.seq, backoff=(0.0,))
        return drain.asked

    def outcome(self, id: str) -> tuple[Any, ...]:
        """All that must not depend on what happened on the way."""
        with self.database.read() as tx:
            run = runs.get(tx, tenants.LOCAL, id)
            curves, after = [], None
            while after is not None or not curves:
                page = metrics.page(tx, tenants.LOCAL, id, limit=1000, after=after)
                curves += page.data
                after = page.next
                if after is None:
                    break
        assert run.status == "succeeded", run.error
        return run.weights_sha256, run.metrics, run.best, curves

    def resumed_at(self, id: str) -> list[int]:
        with self.database.read() as tx:
            told = events.page(tx, tenants.LOCAL, id, limit=1000).data
        return [each.data["epoch"] for each in told if each.type == "run.resumed"]


@pytest.fixture
def bench(tmp_path: Path, database: Database) -> Bench:
    return Bench(tmp_path, database)


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pulse after every step, and a checkpoint at every pulse."""
    monkeypatch.setattr(fitting, "PULSE", 1e-9)
    monkeypatch.setattr(checkpointing, "_TIMES_ITS_COST", 0)


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("kind", SPECS)
def test_a_run_that_dies_at_any_step_ends_as_if_it_had_not(
    kind: str, bench: Bench, chance: Random, times: Callable[[int, int], int], tell: Any
) -> None:
    spec = SPEC | {"epochs": EPOCHS} | SPECS[kind]
    quiet = bench.queue(spec)
    pulses = bench.attempt()
    expected = bench.outcome(quiet)
    for death in range(1, times(2, 100) + 1):
        id = bench.queue(spec)
        bench.attempt(dies_at=chance.randrange(2, pulses + 1))
        bench.attempt()
        assert bench.outcome(id) == expected
        assert len(bench.resumed_at(id)) == 1
        if death % 25 == 0:
            tell(f"{kind}: {death} of {death} equal")


@pytest.mark.usefixtures("every_step")
def test_the_next_attempt_begins_where_the_last_was_and_not_from_the_start(bench: Bench) -> None:
    id = bench.queue(SPEC | {"epochs": EPOCHS})
    whole = bench.attempt()
    bench.queue(SPEC | {"epochs": EPOCHS})
    before = bench.attempt(dies_at=whole - 2)
    after = bench.attempt()
    assert after < 6 < before
    assert bench.resumed_at(id) == []


@pytest.mark.usefixtures("every_step")
def test_a_worker_lost_again_and_again_fails_no_run_that_gets_further_each_time(
    tmp_path: Path, database: Database
) -> None:
    bench = Bench(tmp_path, database, checkpoint_seconds=1e9)
    quiet = bench.queue(SPEC | {"epochs": EPOCHS})
    bench.attempt()
    id = bench.queue(SPEC | {"epochs": EPOCHS})
    for _ in range(2 * expiry.MAX_CRASHES):
        bench.attempt(dies_at=8)
    bench.attempt()
    assert bench.outcome(id) == bench.outcome(quiet)
