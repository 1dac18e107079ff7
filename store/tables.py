"""Every table. Whatever belongs to somebody says to whom, in `tenant_id`, and every query of a caller names it.

Blobs are named by key here and live in `store/blobs.py`. A run names its dataset without a foreign key: the dataset
may be deleted once the run is final, and the run goes on saying what it was trained on.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

from store.moments import Moment
from store.packed_json import PackedJson

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

# Byte order on PostgreSQL too: ids sort by time in every locale.
Id = String(40).with_variant(String(40, collation="C"), "postgresql")
# JSON, not JSONB: nothing is queried inside, and the order of keys stays the caller's. Absent is NULL, never 'null'.
Json = JSON(none_as_null=True)
Word = String(40)
Key = String(200)  # of a blob
Sha256 = String(64)


def _id() -> Column[str]:
    return Column("id", Id, primary_key=True)


def _tenant(*, primary_key: bool = False) -> Column[str]:
    return Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False, primary_key=primary_key)


def _same_tenant() -> Column[str]:
    # Of a row that belongs to a run, whose own key holds the tenant: checking it again would lock the tenant's row.
    return Column("tenant_id", Id, nullable=False)


def _run() -> Column[str]:
    return Column("run_id", Id, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)


def _must(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, nullable=False)


tenants = Table("tenants", metadata, _id(), _must("name", Text), _must("created_at", Moment))

api_keys = Table(
    "api_keys",
    metadata,
    _id(),
    _tenant(),
    Column("prefix", Word, nullable=False, index=True),
    Column("sha256", Sha256, nullable=False, unique=True),
    _must("scopes", Json),
    Column("expires_at", Moment),
    _must("created_at", Moment),
    Column("is_bootstrap", Boolean, nullable=False, server_default=false()),  # the settings gave it
)

datasets = Table(
    "datasets",
    metadata,
    _id(),
    _tenant(),
    _must("name", Text),
    _must("status", Word),
    Column("rows", BigInteger),
    Column("bytes", BigInteger),
    Column("sha256", Sha256),
    _must("columns", Json),
    _must("warnings", Json),
    Column("blob", Key, index=True),
    Column("error", Json),
    _must("created_at", Moment),
    Index("ix_datasets_page", "tenant_id", "id"),
    Index("ix_datasets_sha256", "tenant_id", "sha256"),
)

networks = Table(
    "networks",
    metadata,
    _id(),
    _tenant(),
    Column("name", Text),
    _must("layers", Json),
    _must("created_at", Moment),
    Index("ix_networks_page", "tenant_id", "id"),
)

runs = Table(
    "runs",
    metadata,
    _id(),
    _tenant(),
    _must("dataset_id", Id),
    Column("name", Text),
    _must("metadata", Json),
    _must("spec", PackedJson()),
    _must("seed", BigInteger),
    _must("task", Word),
    _must("rows", Json),
    _must("warnings", Json),
    _must("status", Word),
    Column("requested", Word),  # of the worker that holds it: cancel, pause, stop
    _must("queue", Word),
    _must("priority", Integer),
    Column("not_before", Moment),  # what the caller asked for
    _must("due_at", Moment),  # that, or the end of a backoff
    _must("attempt", Integer),  # the fencing token: only ever rises
    _must("crashes", Integer),
    Column("memory_crashes", Integer, nullable=False, server_default="0"),  # for want of memory, not among the others
    _must("generation", Integer),
    Column("legs", Json),  # [epoch, …]: where each generation before this one ended
    Column("replay", Json),  # {"of", "weights_sha256", "epochs"}: what is to come of it, if it repeats another run
    Column("exactness", Text),
    Column("device", Word),
    Column("progress", Json),  # these three as they were when the run was last let go of; the lease has them until then
    Column("metrics", Json),
    Column("best", Json),
    Column("error", Json),
    Column("receipt", PackedJson()),
    Column("weights_blob", Key, index=True),
    Column("weights_sha256", Sha256),
    _must("created_at", Moment),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Index("ix_runs_page", "tenant_id", "id"),
    Index("ix_runs_status", "tenant_id", "status", "id"),
    Index("ix_runs_dataset", "dataset_id", "id"),
)
# The order in which runs are claimed, and `due_at` so that counting those ahead never reads the wide rows.
Index("ix_runs_queue", runs.c.queue, runs.c.status, runs.c.priority.desc(), runs.c.id, runs.c.due_at)

leases = Table(
    "leases",
    metadata,
    _run(),
    _same_tenant(),
    _must("attempt", Integer),
    _must("seq", BigInteger),
    _must("pulse", BigInteger),  # how far the attempt says it has come: a beat proves life, this proves progress
    _must("at", Moment),
    _must("owner", Json),
    _must("worker_id", Word),
    _must("slot_pid", Integer),
    _must("told_epoch", Integer),
    Column("memory", BigInteger),  # bytes that its process held at the last beat
    Column("memory_limit", BigInteger),  # those it may hold
    Column("progress", Json),
    Column("metrics", Json),
    Column("best", Json),
)

members = Table(
    "members",
    metadata,
    _run(),
    Column("index", Integer, primary_key=True, autoincrement=False),
    _same_tenant(),
    Column("fold", Integer),
    _must("overrides", Json),
    Column("status", Word),  # NULL: its run's
    _must("epoch", Integer),
    Column("best_epoch", Integer),
    Column("best_metric", Word),
    Column("best_value", Float(53)),
    Column("last", Json),
    Column("error", Word),
    Column("weights_sha256", Sha256),
    Index("ix_members_value", "run_id", "best_value", "index"),
)

metric_chunks = Table(
    "metric_chunks",
    metadata,
    _run(),
    Column("stretch", Integer, primary_key=True, autoincrement=False),  # epochs for which there is room in the block
    Column("first_member", Integer, primary_key=True, autoincrement=False),
    Column("first_epoch", Integer, primary_key=True, autoincrement=False),
    Column("split", Word, primary_key=True),
    Column("name", Word, primary_key=True),
    _same_tenant(),
    _must("members", Integer),
    _must("steps", LargeBinary),  # int64 [epochs, members], or [epochs, 1]; -1 where an epoch is not known
    _must("values", LargeBinary),  # [epochs, members] as `chunks` has them, little-endian like the steps
)

events = Table(
    "events",
    metadata,
    _run(),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    _same_tenant(),
    _must("type", Word),
    _must("created_at", Moment),
    _must("data", Json),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    _run(),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    _same_tenant(),
    Column("blob", Key, nullable=False, index=True),
    _must("sha256", Sha256),
    _must("created_at", Moment),
)

# What is found out about a run after it ended, once it is asked for; while one is made, its row is its own lease.
analyses = Table(
    "analyses",
    metadata,
    _run(),
    Column("kind", Word, primary_key=True),
    Column("split", Word, primary_key=True),
    _same_tenant(),
    _must("weights_blob", Key),  # of which of the run's weights it tells: a run that is extended gets others
    _must("status", Word),
    _must("attempt", Integer),
    _must("crashes", Integer),
    _must("seq", BigInteger),
    _must("pulse", BigInteger),
    Column("owner", Json),  # these three of whoever makes it
    Column("worker_id", Word),
    Column("slot_pid", Integer),
    Column("result", Json),
    Column("error", Json),
    _must("created_at", Moment),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Index("ix_analyses_status", "status", "created_at"),
)

models = Table(
    "models",
    metadata,
    _tenant(primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("latest", Integer, nullable=False, server_default="0"),  # its newest version's number; it only ever rises
    _must("created_at", Moment),
    Column("deleted_at", Moment),  # the row stays, for its number
)

model_versions = Table(
    "model_versions",
    metadata,
    _tenant(primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("run_id", Id, nullable=False, index=True),
    Column("member", Integer),
    _must("inputs", Json),
    _must("outputs", Json),
    Column("blob", Key, nullable=False, index=True),
    _must("sha256", Sha256),
    _must("created_at", Moment),
    ForeignKeyConstraint(["tenant_id", "name"], ["models.tenant_id", "models.name"], name="fk_model_versions_model"),
)

aliases = Table(
    "aliases",
    metadata,
    _tenant(primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("alias", String(100), primary_key=True),
    _must("version", Integer),
    ForeignKeyConstraint(
        ["tenant_id", "name", "version"],
        ["model_versions.tenant_id", "model_versions.name", "model_versions.version"],
        name="fk_aliases_version",
    ),
)

# One that is running is its own lease, as an analysis is.
batch_predictions = Table(
    "batch_predictions",
    metadata,
    _id(),
    _tenant(),
    _must("model", String(100)),
    _must("version", Integer),
    _must("dataset_id", Id),
    _must("probabilities", Boolean),
    Column("interval", Float(53)),
    _must("status", Word),
    Column("requested", Word),
    _must("attempt", Integer),
    _must("crashes", Integer),
    Column("seq", BigInteger, nullable=False, server_default="0"),
    Column("pulse", BigInteger, nullable=False, server_default="0"),
    Column("owner", Json),  # these three of whoever makes it
    Column("worker_id", Word),
    Column("slot_pid", Integer),
    Column("progress", Json),  # {"rows", "total", "fraction", "eta_seconds"}
    Column("rows", BigInteger),
    Column("blob", Key, index=True),
    Column("error", Json),
    _must("created_at", Moment),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Index("ix_batch_predictions_page", "tenant_id", "id"),
    Index("ix_batch_predictions_status", "status", "id"),
    Index("ix_batch_predictions_dataset", "dataset_id", "status"),
)

# What is already predicted of one that is not final: stretches of rows, one behind the other from the first.
batch_parts = Table(
    "batch_parts",
    metadata,
    Column("batch_id", Id, ForeignKey("batch_predictions.id", ondelete="CASCADE"), primary_key=True),
    Column("first_row", BigInteger, primary_key=True, autoincrement=False),
    _same_tenant(),
    _must("rows", BigInteger),
    Column("blob", Key, nullable=False, index=True),
)

# Every blob that was put since there is this table. A key is given once: of one whose `deleting` is set nothing is
# ever written or named again, so that bytes may be deleted however late and however often.
blobs = Table(
    "blobs",
    metadata,
    Column("key", Key, primary_key=True),
    Column("sha256", Sha256, nullable=False, index=True),
    Column("deleting", Boolean, nullable=False, server_default=false()),
    _must("created_at", Moment),
)

# The one store whose blobs are named here, once it is known, and the mark that it bears.
blob_store = Table(
    "blob_store",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    _must("mark", Word),
    _must("url", Text),  # as the process that saw it first called it
    _must("is_marked", Boolean),
    _must("created_at", Moment),
)

# A blob that is being put and that no row names yet: as long as its pin is there, it is not deleted.
blob_pins = Table(
    "blob_pins",
    metadata,
    _id(),
    Column("key", Key, nullable=False, index=True),
    Column("created_at", Moment, nullable=False, index=True),
)

# The outbox of deletions, written by the transactions that stop naming a blob and carried out by the reconciler.
blob_deletions = Table(
    "blob_deletions",
    metadata,
    _id(),
    Column("key", Key, nullable=False, index=True),
    Column("waits_since", Moment, nullable=False, index=True),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    _tenant(primary_key=True),
    Column("key", String(255), primary_key=True),
    _must("fingerprint", Sha256),
    _must("owner", Word),
    Column("expires_at", Moment, nullable=False, index=True),
    Column("status", Integer),  # NULL: reserved, the request is in flight
    Column("headers", Json),
    Column("body", LargeBinary),
)

workers = Table(
    "workers",
    metadata,
    _id(),
    _must("host", Text),
    _must("pid", Integer),
    _must("queues", Json),
    Column("device", Word),
    _must("started_at", Moment),
    _must("seen_at", Moment),
)

# A row each: the children of a worker come and go on their own, and its parent never opens a database.
worker_slots = Table(
    "worker_slots",
    metadata,
    Column("worker_id", Id, ForeignKey("workers.id", ondelete="CASCADE"), primary_key=True),
    Column("pid", Integer, primary_key=True, autoincrement=False),
    _must("seen_at", Moment),
    Column("owner", Json),  # the process's identity; NULL for a slot of a version that did not say it
)
