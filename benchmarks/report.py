"""A measured figure, the table of them, and the machine they hold for."""

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

HEADINGS = ("what", "learnd", "beside", "ratio")


@dataclass(frozen=True)
class Figure:
    """`ours` in words with its unit; `rival` likewise, measured in the same run on the same work, and how many times
    as fast ours is."""

    what: str
    ours: str
    rival: str = ""
    ratio: float | None = None

    def cells(self) -> tuple[str, str, str, str]:
        return self.what, self.ours, self.rival, "" if self.ratio is None else f"{self.ratio:.3g} times"


def table(figures: Iterable[Figure]) -> Iterator[str]:
    yield from in_columns(HEADINGS, (figure.cells() for figure in figures))


def in_columns(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table of Markdown, line by line."""
    yield f"| {' | '.join(headings)} |"
    yield f"|{' --- |' * len(headings)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "flask", "uvloop", "celery", "duckdb"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {packages}"
    )


def _processor() -> str:
    found = Path("/proc/cpuinfo")
    lines = found.read_text().splitlines() if found.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
