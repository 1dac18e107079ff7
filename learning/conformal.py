"""How far off an answer may be, learned from rows that were not trained on: split-conformal prediction.

Each of n calibration rows has a score, the larger the worse it was answered. If a new row is like them, its score is at
most the k-th smallest of theirs, k = ⌈(n + 1) · level⌉, with a probability of at least `level`; whatever the model is.

    regression              score |truth - value|      the interval value ± q, of each target by itself
    binary, multiclass      score 1 - p(truth)         the set of classes with 1 - p ≤ q
    multilabel              the same of each target    of each target a set of false, true or both

(Lei et al., "Distribution-Free Predictive Inference for Regression", 2018; Sadinle et al., "Least Ambiguous Set-Valued
Classifiers", 2019.) Each target of several has the level for itself, not all of them together. A set that would be
empty is given the likeliest class, which can only raise the share of sets that hold the truth.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from learning.answers import chosen, truth_of
from learning.targets import Target
from learning.vocabulary import Value

MOST_SCORES = 4096


def scores_of(target: Target, answers: Tensor, encoded: Tensor) -> Tensor:
    """[S, N] float64: of each target of a regression or multilabel run, else of the one; NaN counts as infinite."""
    truth = truth_of(target, encoded)
    match target.task:
        case "regression":
            scores = (truth - answers).abs()
        case "multilabel":
            scores = torch.where(truth > 0, 1.0 - answers, answers)
        case _:
            scores = 1.0 - answers.gather(1, truth.unsqueeze(1))
    return scores.T.nan_to_num(nan=torch.inf, posinf=torch.inf)


@dataclass(frozen=True, eq=False)
class Calibration:
    """`scores` [S, m] float64, ascending, of `rows` rows. Of more than MOST_SCORES rows so many scores are kept, evenly
    by rank, and a rank between two of them is taken for the higher one.
    """

    target: Target
    scores: Tensor
    rows: int

    @classmethod
    def fit(cls, target: Target, answers: Tensor, encoded: Tensor) -> "Calibration":
        """On validation rows, of their answers [N, C or T] and encoded targets."""
        return cls.of(target, [scores_of(target, answers, encoded)])

    @classmethod
    def of(cls, target: Target, parts: Sequence[Tensor]) -> "Calibration":
        """Of the scores [S, …] that each fold gave to the rows it was not trained on.

        The promise is then about the folds' single answers; their mean, which is what is predicted, is seldom worse.
        """
        scores = torch.cat(list(parts), dim=1).sort(dim=1).values
        rows = scores.shape[1]
        if rows > MOST_SCORES:
            ranks = torch.arange(1, MOST_SCORES + 1) * rows  # divided by MOST_SCORES and rounded up: the last is `rows`
            scores = scores[:, ranks.add(MOST_SCORES - 1).div(MOST_SCORES, rounding_mode="floor") - 1]
        return cls(target, scores, rows)

    def quantiles(self, level: float) -> Tensor:
        """[S] float64: what a new row's score exceeds with a probability below 1 - level; infinite for want of rows."""
        rank = math.ceil(Fraction(str(level)) * (self.rows + 1))  # as the level is written: 0.9 is nine in ten
        if rank > self.rows:
            return self.scores.new_full((len(self.scores),), torch.inf)
        return self.scores[:, (rank - 1) * self.scores.shape[1] // self.rows]

    def ends(self, values: Tensor, level: float) -> Tensor:
        """[N, T, 2] float64, low and high of `values` [N, T] as predicted. Counts are not below zero."""
        reach = self.quantiles(level)
        ends = torch.stack([values - reach, values + reach], dim=2)
        return ends.clamp(min=0.0) if self.target.link == "log" else ends

    def intervals(self, values: Tensor, level: float) -> list[Any]:
        """Of each row [low, high], or such a pair of each target where they are listed; None is without an end."""
        ends = self.ends(values, level)
        found = (ends if self.target.listed else ends[:, 0]).tolist()
        return found if bool(ends.isfinite().all()) else _without_infinity(found)

    def inside(self, probabilities: Tensor, level: float) -> Tensor:
        """[N, C] bool: whether each class may be; of labels [N, T, 2], whether false and true may be."""
        reach, likeliest = self.quantiles(level), chosen(self.target, probabilities)
        if self.target.task != "multilabel":
            return _inside(1.0 - probabilities, likeliest, reach)
        scores = torch.stack([probabilities, 1.0 - probabilities], dim=2)  # [N, T, 2]
        return _inside(scores, likeliest, reach.unsqueeze(1))

    def sets(self, probabilities: Tensor, level: float) -> list[Any]:
        """Of each row the classes that it may have, in order; of labels a list of these sets, one for each target."""
        inside = self.inside(probabilities, level).tolist()
        if self.target.task != "multilabel":
            return [_set(self.target.classes or (), row) for row in inside]
        return [[_set((False, True), label) for label in row] for row in inside]


def _inside(scores: Tensor, likeliest: Tensor, reach: Tensor) -> Tensor:
    """Of scores [..., C]; a set that would be empty holds the likeliest [...] class."""
    inside = scores <= reach
    return inside | torch.nn.functional.one_hot(likeliest, scores.shape[-1]).bool() & ~inside.any(-1, keepdim=True)


def _set(classes: Sequence[Value], inside: Sequence[bool]) -> list[Value]:
    return [each for each, here in zip(classes, inside, strict=True) if here]


def _without_infinity(found: list[Any]) -> list[Any]:
    return [
        _without_infinity(each) if isinstance(each, list) else each if math.isfinite(each) else None for each in found
    ]
