"""Models: names that are served. Their versions count up and never change; an alias points to one, and may be moved."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, func, or_, select
from sqlalchemy import delete as delete_rows
from sqlalchemy import insert as insert_row

from store import pages
from store.database import upsert
from store.errors import BadCursor, Conflict, NotFound
from store.moments import now
from store.pages import Page
from store.references import unreferenced
from store.states import FINAL
from store.tables import aliases, batch_predictions, model_versions, models, runs

NAME = r"[A-Za-z0-9._-]{1,100}"
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

    @property
    def ref(self) -> str:
        return f"{self.name}:{self.version}"


@dataclass(frozen=True)
class Model:
    """`latest` is its newest version, `versions` are all, newest first; `aliases` are {alias: version}."""

    name: str
    latest: int
    versions: list[Version]
    aliases: Mapping[str, int]
    created_at: datetime


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
    made_of = select(runs.c.id).where(runs.c.tenant_id == tenant, runs.c.id == run)
    if tx.execute(made_of.with_for_update(read=True, key_share=True)).first() is None:
        raise NotFound("run", run)
    at = now()
    tx.execute(upsert(tx, models).values(tenant_id=tenant, name=name, created_at=at).on_conflict_do_nothing())
    _locked(tx, tenant, name)
    newest = select(func.coalesce(func.max(model_versions.c.version), 0)).where(_of(model_versions, tenant, name))
    version = int(tx.execute(newest).scalar_one()) + 1
    tx.execute(
        insert_row(model_versions).values(
            tenant_id=tenant,
            name=name,
            version=version,
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
        _point(tx, tenant, name, alias, version)
    return _version(tx, tenant, name, version)


def get(tx: Connection, tenant: str, name: str) -> Model:
    row = tx.execute(select(models).where(_of(models, tenant, name))).mappings().first()
    if row is None:
        raise NotFound("model", name)
    return _models(tx, tenant, [row])[0]


def page(tx: Connection, tenant: str, *, limit: int = 50, after: str | None = None) -> Page[Model]:
    """Newest first, by when the model began to be."""
    query = select(models).where(models.c.tenant_id == tenant)
    if after is not None:
        at, name = pages.decode(after, str, str)
        try:
            before = datetime.fromisoformat(at)
        except ValueError as error:
            raise BadCursor(after) from error
        if before.tzinfo is None or not re.fullmatch(NAME, name):
            raise BadCursor(after)
        earlier = and_(models.c.created_at == before, models.c.name < name)
        query = query.where(or_(models.c.created_at < before, earlier))
    query = query.order_by(models.c.created_at.desc(), models.c.name.desc()).limit(limit + 1)
    found = pages.of(
        tx.execute(query).mappings().all(), limit, lambda row: (row["created_at"].isoformat(), row["name"])
    )
    return Page(_models(tx, tenant, found.data), found.has_more, found.next)


def resolve(tx: Connection, tenant: str, ref: str) -> Version:
    """The version that `name` (its newest), `name@alias` or `name:version` means now. NotFound if there is none."""
    found = _REF.fullmatch(ref)
    if found is None:
        raise NotFound("model", ref)
    name = found["name"]
    if found["version"] is not None:
        wanted: int | None = int(found["version"])
    elif found["alias"] is not None:
        pointed = select(aliases.c.version).where(_of(aliases, tenant, name), aliases.c.alias == found["alias"])
        wanted = tx.execute(pointed).scalar()
    else:
        newest = select(func.max(model_versions.c.version)).where(_of(model_versions, tenant, name))
        wanted = tx.execute(newest).scalar()
    if wanted is None:
        raise NotFound("model", ref)
    return _version(tx, tenant, name, wanted)


def point(tx: Connection, tenant: str, name: str, alias: str, version: int) -> Model:
    """Let the alias mean this version from now on. NotFound where there is no such model or version."""
    _locked(tx, tenant, name)
    _version(tx, tenant, name, version)
    _point(tx, tenant, name, alias, version)
    return get(tx, tenant, name)


def forget_alias(tx: Connection, tenant: str, name: str, alias: str) -> None:
    gone = delete_rows(aliases).where(_of(aliases, tenant, name), aliases.c.alias == alias)
    if tx.execute(gone).rowcount == 0:
        raise NotFound("alias", f"{name}@{alias}")


def delete(tx: Connection, tenant: str, name: str) -> list[str]:
    """Deletes the model with all its versions and aliases, and answers which of their blobs nothing else names.

    Conflict while a batch prediction that is not final answers by it.
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
    for table in (aliases, model_versions, models):
        tx.execute(delete_rows(table).where(_of(table, tenant, name)))
    return unreferenced(tx, blobs)


def _of(table: Any, tenant: str, name: str) -> Any:
    return and_(table.c.tenant_id == tenant, table.c.name == name)


def _locked(tx: Connection, tenant: str, name: str) -> None:
    """Two that add a version, or move an alias, take turns."""
    if tx.execute(select(models.c.name).where(_of(models, tenant, name)).with_for_update()).first() is None:
        raise NotFound("model", name)


def _point(tx: Connection, tenant: str, name: str, alias: str, version: int) -> None:
    insert = upsert(tx, aliases).values(tenant_id=tenant, name=name, alias=alias, version=version)
    place = [aliases.c.tenant_id, aliases.c.name, aliases.c.alias]
    tx.execute(insert.on_conflict_do_update(index_elements=place, set_={"version": version}))


def _version(tx: Connection, tenant: str, name: str, version: int) -> Version:
    query = _versions(tenant).where(model_versions.c.name == name, model_versions.c.version == version)
    row = tx.execute(query).mappings().first()
    if row is None:
        raise NotFound("model", f"{name}:{version}")
    pointing = select(aliases.c.alias).where(_of(aliases, tenant, name), aliases.c.version == version)
    return _read(row, tx.execute(pointing.order_by(aliases.c.alias)).scalars().all())


def _models(tx: Connection, tenant: str, rows: Sequence[RowMapping]) -> list[Model]:
    """Of these rows, with two queries for all of them."""
    names = [row["name"] for row in rows]
    pointing: dict[str, dict[str, int]] = {name: {} for name in names}
    query = select(aliases).where(aliases.c.tenant_id == tenant, aliases.c.name.in_(names)).order_by(aliases.c.alias)
    for row in tx.execute(query).mappings():
        pointing[row["name"]][row["alias"]] = row["version"]
    versions: dict[str, list[Version]] = {name: [] for name in names}
    every = _versions(tenant).where(model_versions.c.name.in_(names)).order_by(model_versions.c.version.desc())
    for row in tx.execute(every).mappings():
        mine = [alias for alias, version in pointing[row["name"]].items() if version == row["version"]]
        versions[row["name"]].append(_read(row, mine))
    return [
        Model(
            row["name"],
            versions[row["name"]][0].version,
            versions[row["name"]],
            pointing[row["name"]],
            row["created_at"],
        )
        for row in rows
    ]


def _versions(tenant: str) -> Select[Any]:
    return select(model_versions).where(model_versions.c.tenant_id == tenant)


def _read(row: RowMapping, pointing: Sequence[str]) -> Version:
    same = Version.__dataclass_fields__.keys() - {"run", "aliases"}
    return Version(run=row["run_id"], aliases=tuple(pointing), **{name: row[name] for name in same})
