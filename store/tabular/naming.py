"""Column names: none empty, none twice, and a warning for each that had to change."""

import re
import unicodedata
from collections.abc import Sequence

from store.errors import UnreadableTable
from store.tabular.declarations import warning

LONGEST_NAME = 1_000  # characters
LONGEST_NAMES = 400 << 10  # bytes of all: each run says which are its features
_CONTROL = re.compile("[\x00-\x1f\x7f]")


def settle_names(given: Sequence[str]) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Unique names for a header's cells: `a`, `a` become `a`, `a_2`; an empty one becomes `column_3` by its place."""
    cleaned = [_CONTROL.sub(" ", name) for name in given]
    stripped = [name.strip() for name in cleaned]
    taken = set(stripped)  # a name that stands in the file is never given to another column
    seen: set[str] = set()
    last: dict[str, int] = {}  # where counting goes on, so that 10,000 equal names take 10,000 steps
    names: list[str] = []
    warnings: list[dict[str, str]] = []
    for place, name in enumerate(stripped, start=1):
        settled = name or f"column_{place}"
        if name in seen or (not name and settled in taken):
            wanted, number = settled, last.get(settled, 1)
            while settled in taken:
                number += 1
                settled = f"{wanted}_{number}"
            last[wanted] = number
        if not name:
            warnings.append(warning(settled, "empty_name", f"column {place} has no name and is called {settled!r}"))
        elif settled != name:
            message = f"the name {name!r} stands there more than once; column {place} is called {settled!r}"
            warnings.append(warning(settled, "duplicate_name", message))
        seen.add(name)
        taken.add(settled)
        names.append(settled)
    for settled, before, after in zip(names, given, cleaned, strict=True):
        if before != after and before.strip() != after.strip():
            message = "control characters in the name, which no request could spell, are spaces now"
            warnings.append(warning(settled, "control_characters", message))
    return tuple(names), [*warnings, *_alike(names)]


def _alike(names: Sequence[str]) -> list[dict[str, str]]:
    """Warn of names that look alike and are spelled otherwise in Unicode, as composed and decomposed accents."""
    spelled: dict[str, str] = {}
    found = []
    for name in names:
        other = spelled.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            message = f"looks like another column and is spelled otherwise ({name!a} and {other!a})"
            found.append(warning(name, "unicode_spellings", message))
    return found


def check_lengths(names: Sequence[str]) -> None:
    """Raise UnreadableTable for a name that is too long, or names that are so together."""
    for place, name in enumerate(names, start=1):
        if len(name) > LONGEST_NAME:
            raise UnreadableTable(f"the name of column {place} is longer than {LONGEST_NAME} characters")
    if sum(len(name.encode()) for name in names) > LONGEST_NAMES:
        raise UnreadableTable(f"the names of the columns take more than {LONGEST_NAMES} bytes")
