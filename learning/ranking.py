"""How well scores tell positive rows from the others, whatever the threshold: the curves, and the areas under them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from learning.sums import halving_sum

MOST_POINTS = 200


@dataclass(frozen=True)
class Curve:
    """Points from left to right; `threshold` is the least score counted as positive at each, infinite at the first."""

    x: Tensor
    y: Tensor
    threshold: Tensor


@dataclass(frozen=True)
class Ranking:
    """Of the rows with a score of `scores[i]` or more, `hits[i]` are positive and `alarms[i]` are not; highest first.

    There must be a row of either kind.
    """

    scores: Tensor  # [G] float64, each once
    hits: Tensor  # [G] int64
    alarms: Tensor

    @classmethod
    def of(cls, scores: Tensor, positive: Tensor) -> "Ranking":
        """`scores` [N], `positive` [N] bool."""
        groups, group = torch.unique(scores, return_inverse=True)
        hits, alarms = (torch.bincount(group[which], minlength=len(groups)) for which in (positive, ~positive))
        return cls(groups.flip(0), hits.flip(0).cumsum(0), alarms.flip(0).cumsum(0))

    def area(self) -> float:
        """Under the ROC curve: the share of pairs (positive, other) in which the positive has the higher score.

        A tie is half. Counted in whole numbers (twice the pairs, so that the half is whole).
        """
        hits = self.hits.diff(prepend=self.hits.new_zeros(1))
        alarms = self.alarms.diff(prepend=self.alarms.new_zeros(1))
        twice = int((alarms * (2 * self.hits - hits)).sum())
        return twice / (2 * int(self.hits[-1]) * int(self.alarms[-1]))

    def average_precision(self) -> float:
        """Σ (Rᵢ - Rᵢ₋₁) Pᵢ over the thresholds, highest first, of recall R and precision P."""
        gained = self.hits.diff(prepend=self.hits.new_zeros(1))
        return (halving_sum(gained * self._precision, 0) / self.hits[-1]).item()

    def roc(self) -> Curve:
        """The share of the positive rows that are found against the share of the others that are, thinned."""
        whole = self._curve(self.alarms.double() / self.alarms[-1], self._recall, start=0.0)
        # Where the curve goes straight on, nothing is said: equal steps, in whole numbers.
        turns = (self._from_zero(self.alarms).diff(n=2) != 0) | (self._from_zero(self.hits).diff(n=2) != 0)
        ends = turns.new_ones(1)
        return _thinned(_at(whole, torch.cat([ends, turns, ends]).nonzero().squeeze(1)))

    def precision_recall(self) -> Curve:
        """Precision against recall; without any row called positive, precision is said to be 1."""
        return _thinned(self._curve(self._recall, self._precision, start=1.0))

    @property
    def _recall(self) -> Tensor:
        return self.hits.double() / self.hits[-1]

    @property
    def _precision(self) -> Tensor:
        return self.hits.double() / (self.hits + self.alarms)

    def _from_zero(self, counts: Tensor) -> Tensor:
        return torch.cat([counts.new_zeros(1), counts])

    def _curve(self, x: Tensor, y: Tensor, *, start: float) -> Curve:
        first = self.scores.new_tensor([start])
        highest = self.scores.new_tensor([torch.inf])
        return Curve(torch.cat([x.new_zeros(1), x]), torch.cat([first, y]), torch.cat([highest, self.scores]))


def _at(curve: Curve, places: Tensor) -> Curve:
    return Curve(curve.x[places], curve.y[places], curve.threshold[places])


def _thinned(curve: Curve) -> Curve:
    """At most MOST_POINTS of the points, chosen so that the area under the lines between them stays what it was.

    Marks stand at equal ways along the curve. Of the two points around a mark that one is kept which brings the area so
    far nearer to what it should be: what an outer corner adds, an inner one takes away again.
    """
    count = len(curve.x)
    if count <= MOST_POINTS:
        return curve
    along, up = curve.x.diff(), curve.y.diff()
    zero = along.new_zeros(1)
    way = torch.cat([zero, (along.abs() + up.abs()).cumsum(0)])
    area = torch.cat([zero, (along * (curve.y[1:] + curve.y[:-1]) / 2).cumsum(0)])
    marks = torch.linspace(0.0, way[-1].item(), MOST_POINTS, dtype=torch.float64)[1:-1]
    after = torch.searchsorted(way, marks).clamp(1, count - 2)
    around = torch.stack([after - 1, after], dim=1)
    known = torch.stack([curve.x, curve.y, area])[:, around].permute(1, 2, 0).tolist()  # [marks, 2, 3]
    kept, last, error = [0], [0.0, curve.y[0].item(), 0.0], 0.0
    for places, points in zip(around.tolist(), known, strict=True):
        tried = [
            (error + _between(last, point) - (point[2] - last[2]), place, point)
            for place, point in zip(places, points, strict=True)
            if place > kept[-1]
        ]
        if tried:
            error, place, last = min(tried, key=lambda each: abs(each[0]))
            kept.append(place)
    return _at(curve, torch.tensor([*kept, count - 1]))


def _between(left: list[float], right: list[float]) -> float:
    """The area under a straight line between two points (x, y, …)."""
    return (right[0] - left[0]) * (left[1] + right[1]) / 2
