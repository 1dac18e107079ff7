"""Which blobs are still named by a row. Blobs are named by their content, so two rows may share one."""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, select, union

from store.tables import batch_parts, batch_predictions, checkpoints, datasets, model_versions, runs

_NAMES = (
    datasets.c.blob,
    runs.c.weights_blob,
    checkpoints.c.blob,
    model_versions.c.blob,
    batch_predictions.c.blob,
    batch_parts.c.blob,
)


# Made once: a statement of so many parts takes longer to make than to carry out.
_NAMED = union(*(select(name).where(name.in_(bindparam("keys", expanding=True))) for name in _NAMES))


def unreferenced(tx: Connection, keys: Iterable[str | None]) -> list[str]:
    """Those of `keys` that no row names, sorted; a caller deletes them after its transaction has committed."""
    asked = {key for key in keys if key is not None}
    if not asked:
        return []
    return sorted(asked - set(tx.execute(_NAMED, {"keys": sorted(asked)}).scalars()))
