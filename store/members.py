"""The members of a run's population: where each differs, how far it has come, its best and its last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, bindparam, func, insert, or_, select, update

from store import pages
from store.errors import BadCursor, NotFound
from store.pages import Page
from store.tables import Sha256, members, runs

SORTS = ("index", "value")  # value: the best first, those without one last

_PLACE = and_(members.c.run_id == bindparam("of_run"), members.c.index == bindparam("of_index"))
# A run that is extended has the weights it had until it ends again.
_KEPT = func.coalesce(bindparam("kept_sha256", type_=Sha256), members.c.weights_sha256)
_REPORT = update(members).where(_PLACE).values(weights_sha256=_KEPT)


@dataclass(frozen=True)
class Member:
    """`best` is {"epoch","metric","value"}, `last` the metrics of its last epoch; `epoch` counts those it finished."""

    index: int
    fold: int | None
    overrides: dict[str, Any]
    status: str
    epoch: int
    best: dict[str, Any] | None
    last: dict[str, Any] | None
    error: str | None
    weights_sha256: str | None


@dataclass(frozen=True)
class MemberReport:
    """What a worker says of one member; `status` is running, succeeded or failed."""

    index: int
    status: str
    epoch: int
    best: dict[str, Any] | None = None
    last: dict[str, Any] | None = None
    error: str | None = None
    weights_sha256: str | None = None


def create(tx: Connection, tenant: str, run_id: str, drafts: Sequence[Mapping[str, Any]]) -> None:
    """The rows of a new run, from drafts {"overrides", "fold"} in order of index."""
    rows = [
        {
            "run_id": run_id,
            "index": index,
            "tenant_id": tenant,
            "fold": draft.get("fold"),
            "overrides": draft.get("overrides", {}),
            "epoch": 0,
        }
        for index, draft in enumerate(drafts)
    ]
    tx.execute(insert(members), rows)


def report(tx: Connection, run_id: str, reports: Sequence[MemberReport]) -> None:
    """Overwrites what is known of these members; those that are not named stay as they are."""
    if not reports:
        return
    rows = [
        {
            "of_run": run_id,
            "of_index": each.index,
            # A running member is whatever its run is: a run that pauses or is cancelled need not touch its members.
            "status": None if each.status == "running" else each.status,
            "epoch": each.epoch,
            "best_epoch": each.best and each.best["epoch"],
            "best_metric": each.best and each.best["metric"],
            "best_value": each.best and each.best["value"],
            "last": each.last,
            "error": each.error,
            # Without a best the weights are those it began with: nothing was learned, and nothing is kept.
            "kept_sha256": each.weights_sha256 if each.best else None,
        }
        for each in reports
    ]
    tx.execute(_REPORT, rows)


def page(
    tx: Connection, tenant: str, run_id: str, *, limit: int = 50, after: str | None = None, sort: str = "index"
) -> Page[Member]:
    """In order of index, or with `sort="value"` of the best value, the lowest first."""
    if sort == "index":
        return _by_index(tx, tenant, run_id, limit, after)
    if sort == "value":
        return _by_value(tx, tenant, run_id, limit, after)
    raise ValueError(f"members sort by {' or '.join(SORTS)}, not {sort}")


def first(tx: Connection, tenant: str, run_id: str, count: int = 100) -> list[Member]:
    return _by_index(tx, tenant, run_id, count, None).data


def get(tx: Connection, tenant: str, run_id: str, index: int) -> Member:
    row = tx.execute(_of(tenant, run_id).where(members.c.index == index)).mappings().first()
    if row is None:
        raise NotFound("member", str(index))
    return _member(row)


def count(tx: Connection, tenant: str, run_id: str) -> int:
    # They are numbered from 0: the last is found at once, where counting would read every row.
    last = select(func.max(members.c.index)).where(members.c.tenant_id == tenant, members.c.run_id == run_id)
    found = tx.execute(last).scalar()
    return 0 if found is None else int(found) + 1


def _of(tenant: str, run_id: str) -> Select[Any]:
    status = func.coalesce(members.c.status, runs.c.status).label("shown_status")
    joined = members.join(runs, runs.c.id == members.c.run_id)
    return select(members, status).select_from(joined).where(members.c.tenant_id == tenant, members.c.run_id == run_id)


def _by_index(tx: Connection, tenant: str, run_id: str, limit: int, after: str | None) -> Page[Member]:
    query, order = _of(tenant, run_id), f"{run_id} by index"
    if after is not None:
        query = query.where(members.c.index > pages.decode_of(order, after, int)[0])
    found = tx.execute(query.order_by(members.c.index).limit(limit + 1)).mappings()
    return pages.of([_member(row) for row in found], limit, lambda member: (order, member.index))


def _by_value(tx: Connection, tenant: str, run_id: str, limit: int, after: str | None) -> Page[Member]:
    query, order = _of(tenant, run_id), f"{run_id} by value"
    value, index = members.c.best_value, members.c.index
    if after is not None:
        query = query.where(_beyond(order, after))
    found = tx.execute(query.order_by(value.is_(None), value, index).limit(limit + 1)).mappings()

    def place(member: Member) -> tuple[str | float, ...]:
        # Two shapes of cursor, for the members with a value and those after them without.
        return (order, float(member.best["value"]), member.index) if member.best else (order, member.index)

    return pages.of([_member(row) for row in found], limit, place)


def _beyond(order: str, after: str) -> Any:
    value, index = members.c.best_value, members.c.index
    try:
        (last,) = pages.decode_of(order, after, int)
    except BadCursor:
        best, last = pages.decode_of(order, after, float, int)
        return or_(value > best, and_(value == best, index > last), value.is_(None))
    return and_(value.is_(None), index > last)


def _member(row: RowMapping) -> Member:
    best = None
    if row["best_value"] is not None:
        best = {"epoch": row["best_epoch"], "metric": row["best_metric"], "value": row["best_value"]}
    return Member(
        index=row["index"],
        fold=row["fold"],
        overrides=row["overrides"],
        status=row["shown_status"],
        epoch=row["epoch"],
        best=best,
        last=row["last"],
        error=row["error"],
        weights_sha256=row["weights_sha256"],
    )
