"""The first tables, and the local tenant: whoever calls on loopback without a key."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


ID = sa.String(40).with_variant(sa.String(40, collation="C"), "postgresql")
WORD = sa.String(40)
KEY = sa.String(200)
SHA256 = sa.String(64)
JSON = sa.JSON(none_as_null=True)
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    tenants = op.create_table(
        "tenants",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
    )

    op.create_table(
        "workers",
        sa.Column("id", ID, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("queues", JSON, nullable=False),
        sa.Column("device", WORD),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )

    op.create_table(
        "api_keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("prefix", WORD, nullable=False),
        sa.Column("sha256", SHA256, nullable=False),
        sa.Column("scopes", JSON, nullable=False),
        sa.Column("expires_at", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_api_keys_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("sha256", name="uq_api_keys_sha256"),
    )
    op.create_index("ix_api_keys_prefix", "api_keys", ["prefix"])

    op.create_table(
        "batch_predictions",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("dataset_id", ID, nullable=False),
        sa.Column("probabilities", sa.Boolean(), nullable=False),
        sa.Column("status", WORD, nullable=False),
        sa.Column("requested", WORD),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("rows", sa.BigInteger()),
        sa.Column("blob", KEY),
        sa.Column("error", JSON),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_batch_predictions_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_batch_predictions"),
    )
    op.create_index("ix_batch_predictions_blob", "batch_predictions", ["blob"])
    op.create_index("ix_batch_predictions_page", "batch_predictions", ["tenant_id", "id"])

    op.create_table(
        "datasets",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", WORD, nullable=False),
        sa.Column("rows", sa.BigInteger()),
        sa.Column("bytes", sa.BigInteger()),
        sa.Column("sha256", SHA256),
        sa.Column("columns", JSON, nullable=False),
        sa.Column("warnings", JSON, nullable=False),
        sa.Column("blob", KEY),
        sa.Column("error", JSON),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_datasets_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_datasets"),
    )
    op.create_index("ix_datasets_blob", "datasets", ["blob"])
    op.create_index("ix_datasets_page", "datasets", ["tenant_id", "id"])
    op.create_index("ix_datasets_sha256", "datasets", ["tenant_id", "sha256"])

    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", SHA256, nullable=False),
        sa.Column("owner", WORD, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("headers", JSON),
        sa.Column("body", sa.LargeBinary()),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_idempotency_keys_tenant_id"),
        sa.PrimaryKeyConstraint("tenant_id", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"])

    op.create_table(
        "models",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_models_tenant_id"),
        sa.PrimaryKeyConstraint("tenant_id", "name", name="pk_models"),
    )

    op.create_table(
        "networks",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("layers", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_networks_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_networks"),
    )
    op.create_index("ix_networks_page", "networks", ["tenant_id", "id"])

    op.create_table(
        "runs",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("dataset_id", ID, nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("task", WORD, nullable=False),
        sa.Column("rows", JSON, nullable=False),
        sa.Column("warnings", JSON, nullable=False),
        sa.Column("status", WORD, nullable=False),
        sa.Column("requested", WORD),
        sa.Column("queue", WORD, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("not_before", MOMENT),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("checkpoint", KEY),
        sa.Column("exactness", sa.Text()),
        sa.Column("device", WORD),
        sa.Column("progress", JSON),
        sa.Column("metrics", JSON),
        sa.Column("best", JSON),
        sa.Column("error", JSON),
        sa.Column("receipt", JSON),
        sa.Column("weights_blob", KEY),
        sa.Column("weights_sha256", SHA256),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_runs_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_index("ix_runs_dataset", "runs", ["dataset_id", "id"])
    op.create_index("ix_runs_page", "runs", ["tenant_id", "id"])
    op.create_index("ix_runs_queue", "runs", ["queue", "status", sa.text("priority DESC"), "id", "due_at"])
    op.create_index("ix_runs_status", "runs", ["tenant_id", "status", "id"])
    op.create_index("ix_runs_weights_blob", "runs", ["weights_blob"])

    op.create_table(
        "worker_slots",
        sa.Column("worker_id", ID, nullable=False),
        sa.Column("pid", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["worker_id"], ["workers.id"], name="fk_worker_slots_worker_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("worker_id", "pid", name="pk_worker_slots"),
    )

    op.create_table(
        "checkpoints",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("blob", KEY, nullable=False),
        sa.Column("sha256", SHA256, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_checkpoints_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "attempt", "epoch", "step", name="pk_checkpoints"),
    )
    op.create_index("ix_checkpoints_blob", "checkpoints", ["blob"])

    op.create_table(
        "events",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("type", WORD, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_events_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "seq", name="pk_events"),
    )

    op.create_table(
        "leases",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("pulse", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("owner", JSON, nullable=False),
        sa.Column("worker_id", WORD, nullable=False),
        sa.Column("slot_pid", sa.Integer(), nullable=False),
        sa.Column("told_epoch", sa.Integer(), nullable=False),
        sa.Column("progress", JSON),
        sa.Column("metrics", JSON),
        sa.Column("best", JSON),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_leases_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name="pk_leases"),
    )

    op.create_table(
        "members",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("fold", sa.Integer()),
        sa.Column("overrides", JSON, nullable=False),
        sa.Column("status", WORD),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("best_epoch", sa.Integer()),
        sa.Column("best_metric", WORD),
        sa.Column("best_value", sa.Float(precision=53)),
        sa.Column("last", JSON),
        sa.Column("error", WORD),
        sa.Column("weights_sha256", SHA256),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_members_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "index", name="pk_members"),
    )
    op.create_index("ix_members_value", "members", ["run_id", "best_value", "index"])

    op.create_table(
        "metric_chunks",
        sa.Column("run_id", ID, nullable=False),
        sa.Column("first_epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("split", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("steps", sa.LargeBinary(), nullable=False),
        sa.Column("values", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_metric_chunks_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "first_epoch", "split", "name", name="pk_metric_chunks"),
    )

    op.create_table(
        "model_versions",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("member", sa.Integer()),
        sa.Column("inputs", JSON, nullable=False),
        sa.Column("outputs", JSON, nullable=False),
        sa.Column("blob", KEY, nullable=False),
        sa.Column("sha256", SHA256, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "name"], ["models.tenant_id", "models.name"], name="fk_model_versions_model"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_model_versions_tenant_id"),
        sa.PrimaryKeyConstraint("tenant_id", "name", "version", name="pk_model_versions"),
    )
    op.create_index("ix_model_versions_blob", "model_versions", ["blob"])
    op.create_index("ix_model_versions_run_id", "model_versions", ["run_id"])

    op.create_table(
        "aliases",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("alias", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "name", "version"],
            ["model_versions.tenant_id", "model_versions.name", "model_versions.version"],
            name="fk_aliases_version",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_aliases_tenant_id"),
        sa.PrimaryKeyConstraint("tenant_id", "name", "alias", name="pk_aliases"),
    )
    op.bulk_insert(tenants, [{"id": "tn_local", "name": "local", "created_at": datetime.now(UTC)}])
