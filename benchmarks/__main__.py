"""Measure what the README claims, print a table for each part, and write it with the machine to RESULTS.md.

make bench                          all of it but quality
make quality                        what the default recipe is worth, which takes a quarter of an hour
python -m benchmarks training       every part whose name begins so
python -m benchmarks training.epoch only that one; the others' sections stay as they were
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from benchmarks import batch, latency, metrics, overhead, quality, results, serving, training
from benchmarks.report import Figure, table

Part = Callable[[], Iterable[str]]  # yields lines of Markdown


def tabled(figures: Callable[[], Iterable[Figure]]) -> Part:
    return lambda: table(figures())


PARTS: dict[str, Part] = {
    "latency": tabled(latency.figures),
    **{f"metrics.{epochs}": tabled(partial(metrics.figures, epochs)) for epochs in (1_000, 10_000)},
    **{f"overhead.{seconds}": tabled(partial(overhead.figures, seconds)) for seconds in (6, 60)},
    **{f"training.{name}": part for name, part in training.PARTS.items()},
    "batch": batch.lines,
    "serving": serving.lines,
    "quality": quality.lines,
}
ASKED_FOR = {"metrics.10000", "overhead.60", "quality"}  # measured by name alone


def chosen(wanted: Iterable[str]) -> Iterator[str]:
    """The names of the parts that are asked for. Raises KeyError with a word that names none."""
    for word in wanted:
        names = [name for name in PARTS if name == word or name.startswith(f"{word}.")]
        if not names:
            raise KeyError(word)
        yield from names


def main(wanted: list[str]) -> int:
    try:
        names = list(chosen(wanted)) if wanted else [name for name in PARTS if name not in ASKED_FOR]
    except KeyError as error:
        print(f"no such part: {error.args[0]}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    for name in names:
        print(f"measuring {name} …", file=sys.stderr)
        lines = list(PARTS[name]())
        print("\n".join(lines), flush=True)
        results.write(name, lines, list(PARTS))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
