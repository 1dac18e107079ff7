"""How much a model relies on each feature: how much worse it gets when that column alone is shuffled (Breiman, 2001).

What is told is the increase of the log loss, or of the rmse of a regression, on rows that it was not trained on. Unlike
accuracy these notice every answer that moved. Of two features that say the same, each may seem not to matter.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from learning.columns import Table, column_of, take
from learning.metrics import metrics_of
from learning.randomness import key, permutations
from learning.targets import Target

REPEATS = 5
MOST_ROWS = 10_000  # of more, so many are drawn


@dataclass(frozen=True)
class Importance:
    """The increase of the metric over the shufflings of one feature: its mean, and its deviation among them."""

    feature: str
    mean: float
    std: float


class Shuffling:
    """`answers` makes a table's rows into answers [N, C or T]; `rows` of `table` are shuffled among one another."""

    def __init__(
        self, answers: Callable[[Table], Tensor], target: Target, table: Table, features: Sequence[str], rows: Tensor
    ) -> None:
        if len(rows) > MOST_ROWS:
            (drawn,) = permutations([key("importance rows", 0)], len(rows))
            rows = rows[drawn[:MOST_ROWS].sort().values.long()]
        self._answers = answers
        self._target = target
        self._encoded = target.encode(table, rows)
        self.features = tuple(features)
        self.table = {name: take(column_of(table, name), rows) for name in features}
        self.rows = len(rows)
        self.metric = "rmse" if target.task == "regression" else "log_loss"
        self.baseline = self._measured(self.table)

    def importances(self, seed: int) -> Iterator[Importance]:
        """One feature after another, each shuffled REPEATS times: in the same ways for the same seed, whatever else."""
        for index, name in enumerate(self.features):
            orders = permutations([key("importance", seed, index, repeat) for repeat in range(REPEATS)], self.rows)
            losses = [
                self._measured({**self.table, name: take(self.table[name], order.long())}) - self.baseline
                for order in orders
            ]
            spread = torch.tensor(losses, dtype=torch.float64)
            yield Importance(name, spread.mean().item(), spread.std(correction=0).item())

    def told(self, found: Sequence[Importance]) -> dict[str, Any]:
        """For JSON, the feature that matters most first; what is not finite is null."""
        ordered = sorted(found, key=lambda each: (math.isnan(each.mean), -each.mean))
        return {
            "rows": self.rows,
            "metric": self.metric,
            "baseline": _finite(self.baseline),
            "features": [
                {"name": each.feature, "mean": _finite(each.mean), "std": _finite(each.std)} for each in ordered
            ],
        }

    def _measured(self, table: Table) -> float:
        return metrics_of(self._target, self._answers(table), self._encoded)[self.metric]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
