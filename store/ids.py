"""Ids: a prefix that says the noun, then 26 letters that sort by time and cannot be guessed."""

import re
import secrets
import threading
from datetime import UTC, datetime, timedelta

from store.moments import now

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u
_LETTERS = 26  # of 5 bits: 56 bits of microseconds (to the year 4253), then 74 random ones
_RANDOM_BITS = 74
_SHAPE = re.compile(rf"[a-z]{{2,8}}_[{_ALPHABET}]{{{_LETTERS}}}")

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_lock = threading.Lock()
_latest = 0


def new_id(prefix: str) -> str:
    """A fresh id; within a process each is greater than those before it, whatever the clock does."""
    number = (_next_microsecond() << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    letters = (_ALPHABET[(number >> 5 * place) & 31] for place in reversed(range(_LETTERS)))
    return f"{prefix}_{''.join(letters)}"


def is_id(text: str) -> bool:
    """Whether `text` has the shape of an id; whether it exists is another matter."""
    return _SHAPE.fullmatch(text) is not None


def prefix_of(id: str) -> str:
    """Return which noun an id is of."""
    return id.partition("_")[0]


def _next_microsecond() -> int:
    # Two ids of one microsecond would sort by chance, so the later one borrows the next microsecond.
    global _latest  # noqa: PLW0603 - the order holds within a process, so its memory is the process's
    with _lock:
        _latest = max(_latest + 1, (now() - _EPOCH) // _MICROSECOND)
        return _latest
