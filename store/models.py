"""Models: names that are served. Their versions count up and never change; an alias points to one, and may be moved.

A number is never given twice: a model that was deleted and is made again counts on, so that `name:version` means the
same for ever, or nothing. Therefore the row of a deleted model stays, with its name and its last number.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, case, or_, select
from sqlalchemy import delete as delete_rows
from sqlalchemy import insert as insert_row
from sqlalchemy import update as update_rows

from store import blob_ledger, pages
from store.database import upsert
from store.errors import BadCursor, Conflict, NotFound
from store.moments import now
from store.owned import owned
from store.pages import Page
from store.states import FINAL
from store.tables import aliases, batch_predictions, model_versions, models, runs

NAME = r"[A-Za-z0-9._-]{1,100}"
SHOWN_VERSIONS = 100  # of a model, with it; all of them by pages
_REF = re.compile(rf"(?P<name>{NAME})(?:@(?P<alias>{NAME})|:(?P<version>[1-9][0-9]{{0,8}}))?")


@dataclass(frozen=True)
class Version:
    """`blob` has the weights of what it answers by and no others, `sha256` is their hash; `member` None: of several."""

    name: str
    version: int
    run: str
    member: int | None
    aliases: tuple[str, ...]
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    blob: str
    sha256: str
    created_at: datetime


@dataclass(frozen=True)
class Model:
    """`latest` is its newest version, `versions` the newest of them, that one first; `aliases` are {alias: version}."""

    name: str
    latest: int
    versions: list[Version]
    aliases: Mapping[str, int]
    created_at: datetime


@dataclass(frozen=True)
class Meaning:
    """What a reference means at a moment: the weights in `blob`, of this member, or of several if that is None."""

    name: str
    version: int
    member: int | None
    blob: str
    sha256: str

    @property
    def ref(self) -> str:
        return f"{self.name}:{self.version}"


def add(
    tx: Connection,
    tenant: str,
    name: str,
    *,
    run: str,
    member: int | None,
    inputs: Sequence[Mapping[str, Any]],
    outputs: Sequence[Mapping[str, Any]],
    blob: str,
    sha256: str,
    alias: str | None = None,
) -> Version:
    """The next version of a model, which begins to be with its first; `alias` points to it from now on.

    NotFound if there is no such run.
    """
    # The share keeps the run from being deleted until the version that was made of it can be seen.
    made_of = select(runs.c.id).where(owned(runs, tenant, run)).with_for_update(read=True)
    if tx.execute(made_of).first() is None:
        raise NotFound("run", run)
    at = now()
    number = _next(tx, tenant, name, at)
    tx.execute(
        insert_row(model_versions).values(
            tenant_id=tenant,
            name=name,
            version=number,
            run_id=run,
            member=member,
            inputs=list(inputs),
            outputs=list(outputs),
            blob=blob,
            sha256=sha256,
            created_at=at,
        )
    )
    if alias is not None:
        _point(tx, tenant, name, alias, number)
    return version(tx, tenant, name, number)


def get(tx: Connection, tenant: str, name: str) -> Model:
    """With the newest SHOWN_VERSIONS of its versions."""
    row = tx.execute(select(models).where(_there(tenant, name))).mappings().first()
    if row is None:
        raise NotFound("model", name)
    return _models(tx, tenant, [row], SHOWN_VERSIONS)[0]


def lock(tx: Connection, tenant: str, name: str) -> Model:
    """Return the model, and keep others from changing it until the transaction ends. Raise NotFound."""
    _locked(tx, tenant, name)
    return get(tx, tenant, name)


def page(tx: Connection, tenant: str, *, limit: int = 50, after: str | None = None) -> Page[Model]:
    """Newest first, by when the model began to be; each with its newest version alone."""
    query = select(models).where(models.c.tenant_id == tenant, models.c.deleted_at.is_(None))
    if after is not None:
        query = query.where(_below(after))
    query = query.order_by(models.c.created_at.desc(), models.c.name.desc()).limit(limit + 1)
    rows = tx.execute(query).mappings().all()
    found = pages.of(rows, limit, lambda row: (row["created_at"].isoformat(), row["name"]))
    return Page(_models(tx, tenant, found.data, 1), found.has_more, found.next)


def version(tx: Connection, tenant: str, name: str, number: int) -> Version:
    row = tx.execute(_versions(tenant, [name]).where(model_versions.c.version == number)).mappings().first()
    if row is None:
        raise NotFound("version", f"{name}:{number}")
    return _read(row, _pointing(tx, tenant, [name])[name])


def versions(tx: Connection, tenant: str, name: str, *, limit: int = 50, after: str | None = None) -> Page[Version]:
    """Newest first. NotFound if there is no such model."""
    if tx.execute(select(models.c.name).where(_there(tenant, name))).first() is None:
        raise NotFound("model", name)
    query = _versions(tenant, [name])
    if after is not None:
        query = query.where(model_versions.c.version < pages.decode_of(name, after, int)[0])
    rows = tx.execute(query.order_by(model_versions.c.version.desc()).limit(limit + 1)).mappings().all()
    pointing = _pointing(tx, tenant, [name])[name]
    found = pages.of(rows, limit, lambda row: (name, row["version"]))
    return Page([_read(row, pointing) for row in found.data], found.has_more, found.next)


def resolve(tx: Connection, tenant: str, ref: str) -> Meaning:
    """The version that `name` (its newest), `name@alias` or `name:version` means now. NotFound if there is none."""
    asked = _REF.fullmatch(ref)
    if asked is None:
        raise NotFound("model", ref)
    name = asked["name"]
    wanted: Any = models.c.latest
    if asked["version"] is not None:
        wanted = int(asked["version"])
    elif asked["alias"] is not None:
        pointed = select(aliases.c.version).where(_of(aliases, tenant, name), aliases.c.alias == asked["alias"])
        wanted = pointed.scalar_subquery()
    columns = (model_versions.c[each] for each in Meaning.__dataclass_fields__)
    joined = model_versions.join(models, _same_model(model_versions))
    query = select(*columns).select_from(joined).where(_there(tenant, name), model_versions.c.version == wanted)
    row = tx.execute(query).mappings().first()
    if row is None:
        raise NotFound("model", ref)
    return Meaning(**row)


def point(tx: Connection, tenant: str, name: str, alias: str, number: int) -> Model:
    """Let the alias mean this version from now on. NotFound, of a model or of a version, where there is none such."""
    _locked(tx, tenant, name)
    version(tx, tenant, name, number)
    _point(tx, tenant, name, alias, number)
    return get(tx, tenant, name)


def forget_alias(tx: Connection, tenant: str, name: str, alias: str) -> None:
    gone = delete_rows(aliases).where(_of(aliases, tenant, name), aliases.c.alias == alias)
    if tx.execute(gone).rowcount == 0:
        raise NotFound("alias", f"{name}@{alias}")


def delete(tx: Connection, tenant: str, name: str) -> None:
    """Delete the model with all its versions and aliases, and free their blobs.

    Raise Conflict while a batch prediction that is not final answers by it.
    """
    _locked(tx, tenant, name)
    uses = select(batch_predictions.c.id).where(
        batch_predictions.c.tenant_id == tenant,
        batch_predictions.c.model == name,
        batch_predictions.c.status.not_in(FINAL),
    )
    user = tx.execute(uses.limit(1)).scalar()
    if user is not None:
        raise Conflict(f"batch prediction {user} still answers by this model")
    blobs = list(tx.execute(select(model_versions.c.blob).where(_of(model_versions, tenant, name))).scalars())
    for table in (aliases, model_versions):
        tx.execute(delete_rows(table).where(_of(table, tenant, name)))
    tx.execute(update_rows(models).where(_of(models, tenant, name)).values(deleted_at=now()))
    blob_ledger.free(tx, blobs)


def _of(table: Any, tenant: str, name: str) -> Any:
    return and_(table.c.tenant_id == tenant, table.c.name == name)


def _there(tenant: str, name: str) -> Any:
    return and_(_of(models, tenant, name), models.c.deleted_at.is_(None))


def _same_model(table: Any) -> Any:
    return and_(table.c.tenant_id == models.c.tenant_id, table.c.name == models.c.name)


def _below(cursor: str) -> Any:
    at, name = pages.decode(cursor, str, str)
    try:
        before = datetime.fromisoformat(at)
    except ValueError as error:
        raise BadCursor(cursor) from error
    if before.tzinfo is None or not re.fullmatch(NAME, name):
        raise BadCursor(cursor)
    return or_(models.c.created_at < before, and_(models.c.created_at == before, models.c.name < name))


def _next(tx: Connection, tenant: str, name: str, at: datetime) -> int:
    """The number of the next version; a model that is not there, or no more, begins to be.

    One statement: whoever adds a version, moves an alias or deletes the model at the same time waits for its row.
    """
    first = upsert(tx, models).values(tenant_id=tenant, name=name, latest=1, created_at=at)
    since = case((models.c.deleted_at.is_(None), models.c.created_at), else_=first.excluded.created_at)
    counted = first.on_conflict_do_update(
        index_elements=[models.c.tenant_id, models.c.name],
        set_={"latest": models.c.latest + 1, "created_at": since, "deleted_at": None},
    )
    return int(tx.execute(counted.returning(models.c.latest)).scalar_one())


def _locked(tx: Connection, tenant: str, name: str) -> None:
    """Two that add a version, or move an alias, take turns."""
    if tx.execute(select(models.c.name).where(_there(tenant, name)).with_for_update()).first() is None:
        raise NotFound("model", name)


def _point(tx: Connection, tenant: str, name: str, alias: str, number: int) -> None:
    insert = upsert(tx, aliases).values(tenant_id=tenant, name=name, alias=alias, version=number)
    place = [aliases.c.tenant_id, aliases.c.name, aliases.c.alias]
    tx.execute(insert.on_conflict_do_update(index_elements=place, set_={"version": number}))


def _models(tx: Connection, tenant: str, rows: Sequence[RowMapping], most: int) -> list[Model]:
    """Of these rows, each with so many of its versions, by two queries for all of them."""
    names = [row["name"] for row in rows]
    pointing = _pointing(tx, tenant, names)
    shown: dict[str, list[Version]] = {name: [] for name in names}
    newest = _versions(tenant, names).join(models, _same_model(model_versions))
    newest = newest.where(model_versions.c.version > models.c.latest - most)
    for row in tx.execute(newest.order_by(model_versions.c.version.desc())).mappings():
        shown[row["name"]].append(_read(row, pointing[row["name"]]))
    return [
        Model(row["name"], row["latest"], shown[row["name"]], pointing[row["name"]], row["created_at"]) for row in rows
    ]


def _pointing(tx: Connection, tenant: str, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """By model, {alias: version}."""
    found: dict[str, dict[str, int]] = {name: {} for name in names}
    query = select(aliases).where(aliases.c.tenant_id == tenant, aliases.c.name.in_(names)).order_by(aliases.c.alias)
    for row in tx.execute(query).mappings():
        found[row["name"]][row["alias"]] = row["version"]
    return found


def _versions(tenant: str, names: Sequence[str]) -> Select[Any]:
    return select(model_versions).where(model_versions.c.tenant_id == tenant, model_versions.c.name.in_(names))


def _read(row: RowMapping, pointing: Mapping[str, int]) -> Version:
    mine = tuple(alias for alias, number in pointing.items() if number == row["version"])
    same = Version.__dataclass_fields__.keys() - {"run", "aliases"}
    return Version(run=row["run_id"], aliases=mine, **{name: row[name] for name in same})
