r"""One grammar of times for files and for predictions, in Python and in SQL: ISO 8601 with what people write beside it.

    2026-01-31 · 2026/1/31 · 2026-01-31T9:05 · 2026-01-31 09:05:06.5 · … Z · …+02:00 · … +0200 · …+02

A time without an offset is in UTC. 24:00 is the next midnight. There is no second 60, and no year but 1 to 9999.
"""

import re
from datetime import UTC, datetime, timedelta

# For Python and for RE2, which knows no references back.
PATTERN = (
    r"(\d{4})(?:-(\d{1,2})-(\d{1,2})|/(\d{1,2})/(\d{1,2}))"
    r"(?:[Tt ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.](\d{1,9}))?)?(?: ?([Zz]|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?))?)?"
)
_PATTERN = re.compile(PATTERN, re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND, _DAY = timedelta(microseconds=1), timedelta(days=1)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def microseconds(text: str) -> float | None:
    """Return the microseconds since 1970; None for what is no time. What is finer is cut off."""
    found = _PATTERN.fullmatch(text)
    if found is None:
        return None
    year, month, day, other_month, other_day, hour, minute, second, fraction, offset = found.groups()
    midnight = hour == "24" and not int(minute) and not int(second or 0) and not int((fraction or "0")[:6])
    clock = f"{0 if midnight else int(hour or 0):02d}:{minute or '00'}:{second or '00'}.{(fraction or '')[:6]:0<6}"
    date = f"{year}-{int(month or other_month):02d}-{int(day or other_day):02d}"
    try:
        time = datetime.fromisoformat(f"{date}T{clock}{(offset or 'Z').upper()}")
        moment = time.astimezone(UTC) + (_DAY if midnight else timedelta())
    except (ValueError, OverflowError):  # a 30th of February; a time before the year 1 in UTC
        return None
    return (moment - _EPOCH) / _MICROSECOND


def moment(c: str) -> str:
    """Return the SQL of the TIMESTAMPTZ that a column's text says, NULL for what is no time."""
    joined = rf"regexp_replace(upper({c}), ' (Z|[+-])', '\1')"  # a cast wants no space before an offset
    full = rf"regexp_replace({joined}, '([T ]\d{{1,2}}:\d{{2}})(Z|[+-]|$)', '\1:00\2')"  # and seconds before one
    cast = f"TRY_CAST({full} AS TIMESTAMPTZ)"
    within = f"{cast} BETWEEN '{_FIRST.isoformat()}' AND '{_LAST.isoformat()}'"
    return (
        f"CASE WHEN regexp_full_match({c}, '{PATTERN}') AND NOT starts_with({c}, '0000') AND {within} THEN {cast} END"
    )
