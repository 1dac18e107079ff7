"""Runs: one training each. The wide row here; what moves while a worker holds it is read from its narrow lease."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack

from sqlalchemy import Connection, RowMapping, Select, and_, func, or_, select
from sqlalchemy import delete as delete_rows
from sqlalchemy import insert as insert_row
from sqlalchemy import update as update_rows

from store import blob_ledger, events, extending, moves, pages, states
from store.errors import Conflict, NotFound
from store.ids import new_id
from store.members import create as create_members
from store.moments import now
from store.owned import equals, owned
from store.pages import Page
from store.tables import checkpoints, datasets, leases, model_versions, runs

Verb = Literal["cancel", "stop", "pause", "resume"]


@dataclass(frozen=True)
class Run:
    """`progress`, `metrics` and `best` are the lease's while a worker holds the run, else as it left them."""

    id: str
    tenant: str
    dataset: str
    status: str
    spec: dict[str, Any]
    task: str
    rows: dict[str, int]
    warnings: list[dict[str, Any]]
    queue: str
    priority: int
    not_before: datetime | None
    due_at: datetime
    attempt: int
    crashes: int
    generation: int
    legs: list[int]  # where earlier generations ended
    replay: dict[str, Any] | None
    requested: str | None
    device: str | None
    progress: dict[str, Any] | None
    metrics: dict[str, Any]
    best: dict[str, Any] | None
    error: dict[str, Any] | None
    receipt: dict[str, Any] | None
    weights_blob: str | None
    weights_sha256: str | None
    name: str | None
    metadata: dict[str, str]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Changes(TypedDict, total=False):
    """What its owner may change of a run at any time."""

    name: str | None
    metadata: dict[str, str]
    priority: int


def insert(
    tx: Connection,
    tenant: str,
    *,
    dataset: str,
    spec: Mapping[str, Any],
    task: str,
    rows: Mapping[str, int],
    warnings: Sequence[dict[str, Any]],
    members: Sequence[Mapping[str, Any]],
    queue: str | None = None,
    priority: int = 0,
    not_before: datetime | None = None,
    name: str | None = None,
    metadata: Mapping[str, str] | None = None,
    replay: Mapping[str, Any] | None = None,
    legs: Sequence[int] = (),
) -> Run:
    """A queued run, its members from drafts {"overrides", "fold"}; NotFound or Conflict if its dataset is not ready.

    One that repeats another has that one's `legs`, and in `replay`, {"of", "weights_sha256", "epochs"}, what is to
    come of it.
    """
    # The share keeps the dataset from being deleted until the run that reads it can be seen.
    ready = select(datasets.c.status).where(owned(datasets, tenant, dataset)).with_for_update(read=True)
    status = tx.execute(ready).scalar()
    if status is None:
        raise NotFound("dataset", dataset)
    if status != "ready":
        raise Conflict(f"the dataset is {status}")
    id, created_at = new_id("run"), now()
    tx.execute(
        insert_row(runs).values(
            id=id,
            tenant_id=tenant,
            dataset_id=dataset,
            name=name,
            metadata=dict(metadata or {}),
            spec=dict(spec),
            seed=spec.get("seed", 0),
            task=task,
            rows=dict(rows),
            warnings=list(warnings),
            status="queued",
            queue=queue or ("gpu" if spec.get("device") == "cuda" else "cpu"),
            priority=priority,
            not_before=not_before,
            due_at=not_before or created_at,
            attempt=0,
            crashes=0,
            generation=1,
            legs=list(legs),
            replay=None if replay is None else dict(replay),
            created_at=created_at,
        )
    )
    create_members(tx, tenant, id, members)
    events.append(tx, id, "run.queued", {})
    return get(tx, tenant, id)


def get(tx: Connection, tenant: str, id: str) -> Run:
    row = tx.execute(_joined().where(owned(runs, tenant, id))).mappings().first()
    if row is None:
        raise NotFound("run", id)
    return _run(row)


def lock(tx: Connection, tenant: str, id: str) -> Run:
    """Return the run, and keep others from changing its row until the transaction ends. Raise NotFound."""
    if tx.execute(select(runs.c.id).where(owned(runs, tenant, id)).with_for_update(key_share=True)).first() is None:
        raise NotFound("run", id)
    return get(tx, tenant, id)


def page(
    tx: Connection,
    tenant: str,
    *,
    limit: int = 50,
    after: str | None = None,
    status: str | None = None,
    dataset: str | None = None,
) -> Page[Run]:
    query = _joined().where(runs.c.tenant_id == tenant)
    if status is not None:
        query = query.where(equals(runs.c.status, status))
    if dataset is not None:
        query = query.where(equals(runs.c.dataset_id, dataset))
    return pages.newest_first(tx, query, runs.c.id, _run, limit=limit, after=after)


def queue_position(tx: Connection, run: Run) -> int | None:
    """How many runs, whoever's, would be claimed before this one; None unless it is queued."""
    if run.status != "queued":
        return None
    table = runs.c
    earlier = or_(table.priority > run.priority, and_(table.priority == run.priority, table.id < run.id))
    waiting = and_(table.queue == run.queue, table.status == "queued", table.due_at <= now())
    return int(tx.execute(select(func.count()).select_from(runs).where(waiting, earlier)).scalar_one())


def update(tx: Connection, tenant: str, id: str, **changes: Unpack[Changes]) -> Run:
    if changes:
        tx.execute(update_rows(runs).where(owned(runs, tenant, id)).values(**changes))
    return get(tx, tenant, id)


def request(tx: Connection, tenant: str, id: str, verb: Verb) -> Run:
    """Asks it of the run, at once or through its worker; asking for what is so already changes nothing.

    Conflict, with the reason, where the run's status does not allow it.
    """
    run = lock(tx, tenant, id)
    epoch = int((run.progress or {}).get("epoch", 0))
    outcome = states.decide(run.status, verb, requested=run.requested, epoch=epoch)
    moves.move(tx, id, outcome, {})
    return get(tx, tenant, id)


def extend(tx: Connection, tenant: str, id: str, to_epochs: int) -> Run:
    """A succeeded run goes on from its last state to so many epochs; asking for what is so already changes nothing.

    Until it ends again it keeps the weights, metrics and receipt that it has. Conflict, with the reason, where it
    cannot be extended.
    """
    run = lock(tx, tenant, id)
    finished = int((run.progress or {}).get("epoch", 0))
    outcome = states.decide(run.status, "extend")
    if extending.is_extended_to(run, to_epochs) or (run.status == "succeeded" and to_epochs == finished):
        return run
    if isinstance(outcome, states.Refusal):
        raise Conflict(f"{outcome.reason}; only a run that has succeeded can be extended")
    members = extending.standing(tx, id)
    extending.check(run.spec, finished, members, to_epochs)
    # The share keeps the dataset from being deleted until the run that reads it again can be seen.
    there = select(datasets.c.id).where(owned(datasets, tenant, run.dataset)).with_for_update(read=True)
    if tx.execute(there).first() is None:
        raise Conflict("its dataset was deleted")
    extending.go_on(tx, id)
    columns = extending.changes(run, finished, members, to_epochs)
    data = {"to_epochs": to_epochs, "from_epoch": finished, "generation": columns["generation"]}
    moves.move(tx, id, outcome, data, **columns)
    return get(tx, tenant, id)


def delete(tx: Connection, tenant: str, id: str) -> None:
    """Delete the run with all its rows, and free its blobs.

    Raise Conflict unless it is final, or while a version of a model was made of it.
    """
    run = lock(tx, tenant, id)
    if run.status not in states.FINAL:
        raise Conflict(f"the run is {run.status}: cancel it first")
    uses = select(model_versions.c.name, model_versions.c.version).where(
        model_versions.c.tenant_id == tenant, model_versions.c.run_id == id
    )
    version = tx.execute(uses.limit(1)).first()
    if version is not None:
        raise Conflict(f"version {version.version} of model {version.name} was made of it")
    saved = tx.execute(select(checkpoints.c.blob).where(checkpoints.c.run_id == id)).scalars().all()
    tx.execute(delete_rows(runs).where(owned(runs, tenant, id)))
    blob_ledger.free(tx, [run.weights_blob, *saved])


def _joined() -> Select[Any]:
    moving = (leases.c[name].label(f"held_{name}") for name in ("run_id", "progress", "metrics", "best"))
    return select(runs, *moving).select_from(runs.outerjoin(leases, leases.c.run_id == runs.c.id))


def _run(row: RowMapping) -> Run:
    # A lease that has told nothing yet hides nothing: what could be read before the crash stays as it was.
    told = row["held_progress"] is not None
    moving = {name: row[f"held_{name}" if told else name] for name in ("progress", "metrics", "best")}
    same = Run.__dataclass_fields__.keys() - moving.keys() - {"tenant", "dataset", "legs"}
    return Run(
        tenant=row["tenant_id"],
        dataset=row["dataset_id"],
        legs=row["legs"] or [],
        progress=moving["progress"],
        metrics=moving["metrics"] or {},
        best=moving["best"],
        **{name: row[name] for name in same},
    )
