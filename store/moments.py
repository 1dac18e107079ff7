"""Times: always aware, always UTC, to the microsecond, on both databases; and by one clock for all processes.

That clock is the database's, where it is a server: machines whose own clocks differ by minutes agree on what is due,
who was seen when, and what has expired. Each process asks the server now and then what time it is (`set_by`), and
counts on from there by a clock of its machine that nobody sets. A SQLite database lies on one machine, and has its
clock.
"""

import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import DateTime, Dialect
from sqlalchemy.types import TypeDecorator

# One that goes on while the machine sleeps, where there is such a one.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_reference: tuple[float, datetime] | None = None  # a moment by that clock, and by the database's


def now() -> datetime:
    if _reference is None:
        return datetime.now(UTC)
    at, moment = _reference
    return moment + timedelta(seconds=steady() - at)


def steady() -> float:
    """Return the seconds of the clock that is counted by: nobody sets it."""
    return time.clock_gettime(_CLOCK)


def set_by(moment: datetime, at: float) -> None:
    """Take the database's word: it was `moment` there when it was `at` here."""
    global _reference  # noqa: PLW0603 - a process works on one database, and all of it by that one's time
    _reference = (at, moment)


class Moment(TypeDecorator[datetime]):
    """`timestamptz` on PostgreSQL; on SQLite a text of fixed width in UTC, which sorts as the times do."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value.isoformat()}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
