"""Which blobs are still needed: named by a row, or pinned by a process that is putting them."""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, exists, or_, select

from store.tables import batch_parts, batch_predictions, blob_pins, checkpoints, datasets, model_versions, runs

NAMES = (
    datasets.c.blob,
    runs.c.weights_blob,
    checkpoints.c.blob,
    model_versions.c.blob,
    batch_predictions.c.blob,
    batch_parts.c.blob,
)

# One statement, so one moment: a pin goes in the same transaction in which the name comes.
_NEEDED = select(or_(*(exists().where(name == bindparam("key")) for name in (*NAMES, blob_pins.c.key))))


def unreferenced(tx: Connection, keys: Iterable[str]) -> list[str]:
    """Return those of `keys` that no row names and nobody has pinned, sorted."""
    return [key for key in sorted(set(keys)) if not tx.execute(_NEEDED, {"key": key}).scalar_one()]
