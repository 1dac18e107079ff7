"""All of them, printed and kept in RESULTS.md beside this file, with the machine they ran on."""

import os
import platform
import sys
from contextlib import redirect_stdout
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from benchmarks import latency, training

RESULTS = Path(__file__).with_name("RESULTS.md")


class Both(StringIO):
    """What is written, kept, and shown as it comes."""

    def write(self, text: str) -> int:
        sys.__stdout__.write(text)
        sys.__stdout__.flush()
        return super().write(text)


def main() -> None:
    parts = [f"# Results\n\n{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} cores.\n"]
    for benchmark in (latency, training):
        with redirect_stdout(Both()) as said:
            benchmark.main()
        parts.append(f"## {benchmark.__name__.rpartition('.')[2].title()}\n\n```\n{said.getvalue()}```\n")
    RESULTS.write_text("\n".join(parts))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


main()
