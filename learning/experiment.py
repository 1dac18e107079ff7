"""One resolved run spec and one table become all that the engine needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from learning.columns import Table, as_classes, column_of, take
from learning.examples import Examples
from learning.preprocessing import Preprocessing
from learning.specs import MemberSpec, members_of
from learning.splitting import Split, split
from learning.targets import Target, rows_with_target
from learning.weighting import Weighting


@dataclass(frozen=True, eq=False)
class Experiment:
    members: tuple[MemberSpec, ...]
    preprocessing: Preprocessing
    target: Target
    split: Split  # of the table's rows; those without a target are in none
    train: Examples
    validation: Examples | None
    test: Examples | None
    dropped: int
    warnings: list[dict[str, str]]

    @property
    def rows(self) -> dict[str, int]:
        train, validation, test = map(len, self.split)
        return {"train": train, "validation": validation, "test": test, "dropped": self.dropped}


def prepare(spec: Mapping[str, Any], table: Table) -> Experiment:
    """Drop rows without a target, split, fit the preprocessing on the train rows, encode each split.

    Raises UnusableColumn, NoUsableFeature or UnusableSplit where the data cannot be learned from.
    """
    names, task = spec["target"], spec["task"]
    usable = rows_with_target(table, names)
    dropped = _rows_of(table, names) - len(usable)
    classes = None if task in ("regression", "multilabel") else as_classes(take(column_of(table, names), usable)).codes
    chosen = split(
        len(usable),
        classes,
        validation=(spec.get("validation") or {}).get("fraction", 0.0),
        test=(spec.get("test") or {}).get("fraction", 0.0),
        seed=spec["split_seed"],
    )
    rows = Split(*(usable[part] for part in chosen))
    preprocessing = Preprocessing.fit(table, spec["features"], rows.train, spec["scaling"])
    target = Target.fit(table, names, task, rows.train, "log" if spec["loss"] == "poisson" else "identity")

    weighting = Weighting.fit(spec, table, target, rows.train)

    def examples(part: Tensor) -> Examples:
        weights = None if weighting is None else weighting.weights(table, part, target)
        return Examples(preprocessing.encode(table, part), target.encode(table, part), weights)

    return Experiment(
        members=members_of(spec),
        preprocessing=preprocessing,
        target=target,
        split=rows,
        train=examples(rows.train),
        validation=examples(rows.validation) if len(rows.validation) else None,
        test=examples(rows.test) if len(rows.test) else None,
        dropped=dropped,
        warnings=_dropped_warnings(names, dropped) + preprocessing.warnings,
    )


def _rows_of(table: Table, names: str | list[str]) -> int:
    return column_of(table, names if isinstance(names, str) else names[0]).rows


def _dropped_warnings(names: str | list[str], dropped: int) -> list[dict[str, str]]:
    if not dropped:
        return []
    column = names if isinstance(names, str) else names[0]
    message = f"Rows without a target are dropped: {dropped}."
    return [{"column": column, "code": "missing_target", "message": message}]
