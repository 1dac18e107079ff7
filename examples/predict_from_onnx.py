"""Predictions of a network that learnd has trained, without learnd: copy this file into a project of your own.

    curl -sf "$LEARND/v1/models/iris@prod/onnx" -o iris.onnx
    python predict_from_onnx.py iris.onnx flowers.csv > predicted.csv

It needs Python 3.11, onnxruntime and numpy. The table's header names the features, in any order and among other
columns; a feature that it has not is missing in every row. The answer has a column for each target, named `prediction`
where there is one, and `probability of …` for each class.
"""

import csv
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

MISSING = ("", "NA", "N/A", "NaN", "null")  # what an uploaded table takes as such where nothing else is said
TRUTH = {"true": 1.0, "1": 1.0, "false": 0.0, "0": 0.0}
AT_ONCE = 10_000  # rows


class Carried:
    """The file, and what it tells of its inputs and outputs."""

    def __init__(self, path: str | Path) -> None:
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        found = self.session.get_modelmeta().custom_metadata_map
        told = {name: json.loads(found[f"learnd.{name}"]) for name in ("inputs", "outputs", "targets")}
        self.types: dict[str, str] = {each["name"]: each["type"] for each in told["inputs"]}
        self.outputs: list[str] = list(told["outputs"].values())
        self.targets: list[str] = [each["name"] for each in told["targets"]]
        self.classes: list[Any] = json.loads(found.get("learnd.classes", "[]"))

    @property
    def header(self) -> list[str]:
        names = ["prediction"] if len(self.targets) == 1 else self.targets
        return [*names, *(f"probability of {_text(each)}" for each in self.classes)]

    def predict(self, rows: Sequence[Mapping[str, str]]) -> Iterator[list[Any]]:
        """Of rows by column name, as texts; what `header` names."""
        feeds = {name: _input(name, kind, [row.get(name, "") for row in rows]) for name, kind in self.types.items()}
        answers = [np.asarray(each) for each in self.session.run(self.outputs, feeds)]
        for answer in zip(*(each.reshape(len(rows), -1).tolist() for each in answers), strict=True):
            yield [_text(value) for values in answer for value in values]


def _input(name: str, kind: str, cells: Sequence[str]) -> NDArray[Any]:
    """[N, 1]: strings of a category, else numbers, NaN for a missing one."""
    present = ["" if cell in MISSING else cell for cell in cells]
    if kind == "categorical":
        return np.array(present, dtype=object).reshape(-1, 1)
    try:
        return np.array([[READ[kind](cell) if cell else math.nan] for cell in present], dtype=np.float64)
    except (KeyError, ValueError) as error:
        raise SystemExit(f"The column {name!r} is {kind}, which this is not: {error}") from None


def _microseconds(cell: str) -> float:
    time = datetime.fromisoformat(cell)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1e6


READ: Mapping[str, Callable[[str], float]] = {
    "numeric": float,
    "boolean": lambda cell: TRUTH[cell.lower()],
    "datetime": _microseconds,
}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def main(model: str, table: str) -> None:
    carried = Carried(model)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(carried.header)
    with Path(table).open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, restval="")
        while rows := list(islice(reader, AT_ONCE)):
            out.writerows(carried.predict(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
