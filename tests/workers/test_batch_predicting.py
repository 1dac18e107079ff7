"""Batch predictions by a real worker: after the runs, before the analyses, and the same whatever comes between."""

import os
import signal
from collections.abc import Callable
from typing import Any

import duckdb
import pytest
import torch

from learning.keeping import Kept
from store import analyses, batch_predictions, batching, claims, datasets, models, tenants, weights
from store.batch_predictions import BatchPrediction
from store.errors import Full
from store.processes import ProcessIdentity
from store.purging import purge
from store.tabular import ImportOptions, import_table
from tests.workers.running import Yard, wait_for
from workers import answering, batch_predicting, outlasting
from workers.batch_predicting import predict_batch
from workers.drain import Drain
from workers.driving import Place, drive
from workers.reading import Tables

ROWS = 300_000  # five blocks and, with this network, a few seconds
NETWORK = {"layers": [{"units": 512, "activation": "relu"}] * 2}
SMALL = {"layers": [{"units": 8, "activation": "relu"}]}
NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def serve(yard: Yard, network: dict[str, Any]) -> str:
    """The run, trained here; the model `m` answers by it."""
    id, here = yard.add_run(ring=False, epochs=1, network=network), ProcessIdentity.current()
    with yard.database.write() as tx:
        claim = claims.claim(tx, worker="wk_here", slot_pid=here.pid, owner=here)
    drive(claim, place(yard))
    run = yard.run(id)
    assert run.status == "succeeded", run.error
    version = {"member": 0, "inputs": [], "outputs": [], "blob": run.weights_blob, "sha256": run.weights_sha256}
    with yard.database.write() as tx:
        models.add(tx, tenants.LOCAL, "m", run=id, **version)
    return id


def rows(yard: Yard, count: int = ROWS) -> str:
    """A dataset of so many rows, of which some cells are missing."""
    file, stored = yard.blobs.scratch / "rows.parquet", yard.blobs.scratch / "stored.parquet"
    chosen = ", ".join(
        f"CASE WHEN i % {7 + place} = 0 THEN NULL ELSE sin(i * {place + 1}) END AS {name}"
        for place, name in enumerate(NAMES)
    )
    duckdb.connect().execute(f"COPY (SELECT {chosen} FROM range({count}) AS r(i)) TO '{file}' (FORMAT parquet)")
    table = import_table(file, "parquet", ImportOptions(), stored)
    known = {"rows": table.rows, "columns": table.columns, "warnings": [], "bytes": 1, "sha256": "1" * 64}
    with yard.database.write() as tx:
        return datasets.insert(tx, tenants.LOCAL, name="rows", blob=yard.blobs.put(stored), **known).id


def place(yard: Yard, drain: Drain | None = None) -> Place:
    return Place(yard.settings, yard.database, yard.blobs, Tables(), drain or Drain(), "cpu", 2)


def ask(yard: Yard, dataset: str, *, ring: bool = True) -> str:
    with yard.database.write() as tx:
        wanted = {"model": "m", "version": 1, "dataset": dataset, "probabilities": True}
        id = batch_predictions.insert(tx, tenants.LOCAL, **wanted).id
    if ring:
        yard.ring()
    return id


def get(yard: Yard, id: str) -> BatchPrediction:
    with yard.database.read() as tx:
        return batch_predictions.get(tx, tenants.LOCAL, id)


def reached(yard: Yard, id: str, *statuses: str) -> BatchPrediction:
    return wait_for(lambda: (found := get(yard, id)).status in statuses and found)


def under_way(yard: Yard, id: str) -> BatchPrediction:
    return wait_for(lambda: (found := get(yard, id)).status == "running" and found.progress["rows"] > 0 and found)


def attempt(yard: Yard, drain: Drain | None = None) -> batching.Claim:
    """One, made here."""
    here = ProcessIdentity.current()
    with yard.database.write() as tx:
        claim = batching.claim(tx, worker="wk_here", slot_pid=here.pid, owner=here)
    assert claim is not None
    predict_batch(claim, place(yard, drain))
    return claim


def result(yard: Yard, id: str) -> list[tuple[Any, ...]]:
    blob = get(yard, id).blob
    assert blob is not None
    return duckdb.sql(f"SELECT * FROM read_parquet('{yard.blobs.local_path(blob)}')").fetchall()


def blobs(yard: Yard) -> set[str]:
    """Those that are left of what anybody needs."""
    purge(yard.database, yard.blobs, 0.0)
    return {path.name for path in yard.settings.data_dir.glob("blobs/sha256/*/*")}


@pytest.fixture
def quick(new_yard: Callable[..., Yard]) -> Yard:
    """With a part for every block, however fast it was answered."""
    return new_yard(checkpoint_seconds=0.0)


@pytest.mark.parametrize("sizes", [(1_000, 64), (777, 100), (4_096, 4_096)])
def test_whatever_the_blocks_and_slices_the_answers_are_those_of_the_model_itself(quick: Yard, sizes, monkeypatch):
    block, part = sizes
    run = serve(quick, SMALL)
    monkeypatch.setattr(answering, "rows_at_once", lambda _columns: block)
    monkeypatch.setattr(answering, "_MOST_ROWS", part)
    id = ask(quick, rows(quick, 10_000), ring=False)
    claim = attempt(quick)
    assert get(quick, id).status == "succeeded"
    arrays, header = weights.unpack(quick.blobs.get(quick.run(run).weights_blob))
    model = Kept({name: torch.from_numpy(array) for name, array in arrays.items()}, header).model(0)
    table = Tables().read(quick.blobs.local_path(claim.dataset.blob), NAMES)
    said = model.predict(table)
    told = result(quick, id)
    assert [row[0] for row in told] == list(range(10_000))
    assert [row[1] for row in told] == said.labels()
    assert [list(row[2:]) for row in told] == said.probabilities().tolist()


def test_one_that_is_handed_back_again_and_again_ends_with_the_file_of_one_that_is_not(quick: Yard, monkeypatch):
    serve(quick, SMALL)
    dataset = rows(quick, 20_000)
    monkeypatch.setattr(answering, "rows_at_once", lambda _columns: 1_024)
    quiet = ask(quick, dataset, ring=False)
    attempt(quick)
    before = blobs(quick)
    disturbed = ask(quick, dataset, ring=False)
    seen = []
    write = batch_predicting.write_part
    while get(quick, disturbed).status != "succeeded":
        drain, kept = Drain(), []

        def asking(*args: Any, drain: Drain = drain, kept: list[int] = kept) -> None:
            """After its second part the worker is told to end."""
            write(*args)
            kept.append(1)
            if len(kept) == 2:
                drain.ask_all()

        monkeypatch.setattr(batch_predicting, "write_part", asking)
        seen.append(attempt(quick, drain).rows_done)
    assert seen[0] == 0
    assert seen == sorted(seen)
    assert len(set(seen)) == len(seen) > 3, "each went on behind what was done"
    assert get(quick, disturbed).attempt == len(seen)
    assert result(quick, disturbed) == result(quick, quiet)
    assert get(quick, disturbed).blob == get(quick, quiet).blob
    assert blobs(quick) == before, "the parts are gone"


def test_a_full_disk_is_waited_for(quick: Yard, monkeypatch):
    serve(quick, SMALL)
    monkeypatch.setattr(outlasting, "AWAY_SECONDS", 0.01)
    tries = iter(range(5))
    write = batch_predicting.write_part

    def full(*args: Any) -> None:
        if next(tries, None) is not None:
            raise Full("no room is left")
        write(*args)

    monkeypatch.setattr(batch_predicting, "write_part", full)
    id = ask(quick, rows(quick, 1_000), ring=False)
    attempt(quick)
    assert get(quick, id).status == "succeeded"
    assert next(tries, None) is None


def test_what_goes_wrong_is_told_by_its_code_and_leaves_nothing(quick: Yard, monkeypatch):
    serve(quick, SMALL)
    dataset = rows(quick, 10_000)
    before = blobs(quick)
    monkeypatch.setattr(answering, "rows_at_once", lambda _columns: 1_024)
    answer, calls = answering.answer_columns, iter(range(5))

    def fails(*args: Any, **kwargs: Any) -> Any:
        if next(calls, None) is None:
            raise MemoryError
        return answer(*args, **kwargs)

    monkeypatch.setattr(answering, "answer_columns", fails)
    id = ask(quick, dataset, ring=False)
    attempt(quick)
    found = get(quick, id)
    assert (found.status, found.error["code"], found.blob) == ("failed", "out_of_memory", None)
    assert blobs(quick) == before


def test_runs_come_first_and_analyses_last(quick: Yard):
    trained = serve(quick, SMALL)
    dataset = rows(quick, 1_000)
    with quick.database.write() as tx:
        analyses.ask(tx, tenants.LOCAL, trained, "evaluation", "test")
    id = ask(quick, dataset, ring=False)
    later = quick.add_run(ring=False)
    quick.start_worker()
    quick.ring()
    made = reached(quick, id, "succeeded")

    def analysed() -> Any:
        with quick.database.read() as tx:
            found = analyses.get(tx, tenants.LOCAL, trained, "evaluation", "test")
        return found if found.status == "ready" else None

    wait_for(analysed)
    assert quick.run(later).finished_at < made.started_at
    assert made.attempt == 1
    with quick.database.read() as tx:
        row = tx.exec_driver_sql("SELECT started_at FROM analyses").scalar_one()
    assert str(row) > made.finished_at.strftime("%Y-%m-%d %H:%M:%S")


def test_what_waits_unrung_is_rung_for(quick: Yard):
    serve(quick, SMALL)
    id = ask(quick, rows(quick, 1_000), ring=False)
    quick.start_worker()
    quick.start_reconciler()
    reached(quick, id, "succeeded")


def test_a_worker_told_to_end_keeps_what_is_done_and_one_that_is_killed_what_was_kept(quick: Yard):
    serve(quick, NETWORK)
    dataset = rows(quick)
    id = ask(quick, dataset, ring=False)
    attempt(quick)
    quiet = result(quick, id)
    worker = quick.start_worker()
    quick.start_reconciler()
    id = ask(quick, dataset)
    under_way(quick, id)
    worker.terminate()
    assert worker.wait(quick.settings.drain_seconds) == 0
    waits = get(quick, id)
    assert (waits.status, waits.attempt) == ("queued", 1)
    worker = quick.start_worker()
    wait_for(lambda: get(quick, id).attempt == 2)
    under_way(quick, id)
    os.kill(quick.child_of(worker), signal.SIGKILL)
    made = reached(quick, id, "succeeded")
    assert made.attempt == 3
    assert result(quick, id) == quiet


def test_one_that_is_cancelled_stops_within_a_moment_and_keeps_nothing(quick: Yard):
    serve(quick, NETWORK)
    dataset = rows(quick)
    before = blobs(quick)
    quick.start_worker()
    id = ask(quick, dataset)
    under_way(quick, id)
    with quick.database.write() as tx:
        assert batch_predictions.cancel(tx, tenants.LOCAL, id).status == "cancelling"
    found = reached(quick, id, "cancelled")
    assert (found.blob, found.rows, found.error) == (None, None, None)
    wait_for(lambda: blobs(quick) == before)


def test_a_table_that_is_gone_fails_it_with_its_reason(quick: Yard):
    serve(quick, SMALL)
    dataset = rows(quick, 1_000)
    with quick.database.read() as tx:
        quick.blobs.delete(datasets.get(tx, tenants.LOCAL, dataset).blob)
    quick.start_worker()
    assert reached(quick, ask(quick, dataset), "failed").error["code"] == "dataset_missing"
