"""Pages: a cursor is where the page before ended, and is compared, never looked up."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson
from sqlalchemy import Column, Connection, RowMapping, Select

from store.errors import BadCursor
from store.ids import is_id, prefix_of

T = TypeVar("T")
BYTES_OF_EACH = 16 << 10  # of a page: so many for each that it may have, and one thing at least
PREFIXES = {"datasets": "ds", "networks": "net", "runs": "run", "batch_predictions": "bp"}


@dataclass(frozen=True)
class Page(Generic[T]):
    """`next` is the cursor of the page after this one, None on the last."""

    data: list[T]
    has_more: bool
    next: str | None


def encode(*place: str | float) -> str:
    """A cursor for a place in an order of one or several fields."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).rstrip(b"=").decode()


def decode(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """The place that `encode` made this cursor of, its fields of the given kinds; BadCursor for any other text."""
    try:
        packed = cursor.encode("ascii")
        place = orjson.loads(base64.b64decode(packed + b"=" * (-len(packed) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error) as error:
        raise BadCursor(cursor) from error
    if not isinstance(place, list) or [type(field) for field in place] != list(kinds):
        raise BadCursor(cursor)
    if any(isinstance(field, int) and not -(2**31) <= field < 2**31 for field in place) or encode(*place) != cursor:
        raise BadCursor(cursor)
    return tuple(place)


def decode_of(owner: str, cursor: str, *kinds: type) -> tuple[Any, ...]:
    """Return the place of a cursor whose first field is what the list belongs to. Raise BadCursor."""
    found, *place = decode(cursor, str, *kinds)
    if found != owner:
        raise BadCursor(cursor)
    return tuple(place)


def of(found: Sequence[T], limit: int, place: Callable[[T], tuple[str | float, ...]]) -> Page[T]:
    """The page from up to `limit` + 1 things found in order; `place` tells where in the order one is."""
    data = list(found[:limit])
    more = len(found) > limit
    return Page(data, more, encode(*place(data[-1])) if more else None)


def newest_first(
    tx: Connection,
    query: Select[Any],
    id: Column[str],
    read: Callable[[RowMapping], T],
    *,
    limit: int,
    after: str | None,
) -> Page[T]:
    """What `read` makes of the rows of `query`, from the newest id down, or from below the cursor `after`.

    Fewer than `limit` where they are large. Raise BadCursor for one of another list, whose ids have another prefix.
    """
    if after is not None:
        (before,) = decode(after, str)
        if not is_id(before) or prefix_of(before) != PREFIXES[id.table.name]:
            raise BadCursor(after)
        query = query.where(id < before)
    found: list[RowMapping] = []
    taken, has_more = 0, False
    for row in tx.execute(query.order_by(id.desc()).limit(limit + 1)).mappings():
        taken += len(orjson.dumps(list(row.values()), default=str))
        has_more = len(found) == limit or (bool(found) and taken > limit * BYTES_OF_EACH)
        if has_more:
            break
        found.append(row)
    return Page([read(row) for row in found], has_more, encode(found[-1]["id"]) if has_more else None)
