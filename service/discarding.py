"""Deleting the bytes of deleted rows, without taking them from a row that came to name the same bytes meanwhile."""

from collections.abc import Sequence

from service.parts import parts
from store.references import unreferenced


def discard(keys: Sequence[str]) -> None:
    """After the transaction that deleted their rows. Looked up once more and deleted while nothing can be inserted."""
    if not keys:
        return
    with parts().database.write() as tx:
        for key in unreferenced(tx, keys):
            parts().blobs.delete(key)
