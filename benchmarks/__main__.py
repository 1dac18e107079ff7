"""Measure all that the README claims, print one table, and write it with the machine to benchmarks/RESULTS.md.

make bench
python -m benchmarks latency        only that part, and nothing is written
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import latency, training
from benchmarks.report import Figure, machine, table

PARTS = {"latency": latency.figures, "training": training.figures}
RESULTS = Path(__file__).parent / "RESULTS.md"
ABOUT = """# Results

Written by `make bench`. Each rival was measured in the same run, on the same work, in turn with ours. Ratios carry over
to other machines, absolute times do not.

"""


def main(wanted: list[str]) -> int:
    if unknown := set(wanted) - set(PARTS):
        print(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for name in wanted or PARTS:
        print(f"measuring {name} …", file=sys.stderr)
        figures += PARTS[name]()
    lines = "\n".join(table(figures))
    print(lines)
    if not wanted:
        RESULTS.write_text(f"{ABOUT}{datetime.now(UTC):%Y-%m-%d}, on {machine()}.\n\n{lines}\n")
    return 0


sys.exit(main(sys.argv[1:]))
