"""What the store refuses, as types with data; the service turns them into HTTP in one place.

StoreError
 +- NotFound          no such row for this tenant
 +- Conflict          the row's state does not allow it
 +- BadCursor         a page's cursor that no page gave
 +- Fenced            the attempt is over: another one, or nobody, holds the run now
 +- Unavailable       nothing is wrong with what was asked
 |   +- Busy          the database is locked or away; asking again later may do
 |   +- Full          no room is left for it
 +- BlobMissing       a key whose bytes are gone
 +- UnreadableTable   bytes that are no table in the format they claim
"""


class StoreError(Exception):
    """Anything the store refuses."""


class NotFound(StoreError):
    """No `noun` with this id belongs to the tenant, which is all that another tenant's caller may learn."""

    def __init__(self, noun: str, id: str) -> None:
        super().__init__(f"no {noun} {id}")
        self.noun = noun
        self.id = id


class Conflict(StoreError):
    """The state of the row does not allow what was asked; `reason` is written for the caller."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadCursor(StoreError):
    """A cursor that no page gave."""

    def __init__(self, cursor: str) -> None:
        super().__init__("not a cursor that a page gave")
        self.cursor = cursor


class Fenced(StoreError):
    """The attempt no longer holds its lease: roll back, write nothing more, stop at once."""

    def __init__(self, run_id: str, attempt: int) -> None:
        super().__init__(f"attempt {attempt} of {run_id} no longer holds its lease")
        self.run_id = run_id
        self.attempt = attempt


class Unavailable(StoreError):
    """The store cannot answer now; nothing was written."""


class Busy(Unavailable):
    """The database stayed locked past the deadline, or cannot be reached."""


class Full(Unavailable):
    """The disk of the database or of the blobs is full."""


class BlobMissing(StoreError):
    """The bytes of `key` are not there."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no blob {key}")
        self.key = key


class UnreadableTable(StoreError):
    """Bytes that are no table in their format; `line` and `column` say where, counted from 1 where they are known."""

    def __init__(self, message: str, line: int | None = None, column: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
