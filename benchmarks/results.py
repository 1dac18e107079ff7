"""RESULTS.md: a section for each part that was measured, so that measuring one again leaves the others as they were."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.report import machine

RESULTS = Path(__file__).parent / "RESULTS.md"
ABOUT = """# Results

Written by `make bench`, a section by each part of it: `python -m benchmarks <part>` measures that one again. Each rival
was measured in the same run, on the same work, in turn with ours. Ratios carry over to other machines, absolute times
do not.
"""
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


def write(part: str, lines: Iterable[str], order: Sequence[str], path: Path = RESULTS) -> None:
    """Put `lines` of Markdown, with the day and the machine, under the part's heading.

    `order` names all parts there are; a section that none of them writes any more goes.
    """
    sections = read(path)
    sections[part] = "\n".join((f"{datetime.now(UTC):%Y-%m-%d}, on {machine()}.", "", *lines))
    path.write_text("\n".join((ABOUT, *(f"## {name}\n\n{sections[name]}\n" for name in order if name in sections))))


def read(path: Path = RESULTS) -> dict[str, str]:
    """What stands under each part's heading."""
    _, *found = HEADING.split(path.read_text() if path.exists() else "")
    return {name: body.strip() for name, body in zip(found[::2], found[1::2], strict=True)}
