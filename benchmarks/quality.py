"""How good a run is of which nothing is said but table and target: `python -m benchmarks quality`.

Each table is split as the service splits it, a fifth for test. What the default recipe makes of the other rows, all of
them, is held against what each rival's own defaults make of the same rows, over splits and seeds.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import r2_score, roc_auc_score

from benchmarks import default_run, h2o
from benchmarks.learners import Learner, boosting, deep_learning, perceptron
from benchmarks.tables import DataTable, tables

OURS, PERCEPTRON, BOOSTING, H2O = "learnd", "scikit-learn MLP", "HistGradientBoosting", "H2O-3"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the learners reached on one table, each [splits], and how many seconds each took for one."""

    table: DataTable
    trivial: float
    scores: Mapping[str, np.ndarray]
    seconds: Mapping[str, float]

    def normalised(self, learner: str) -> float:
        """(score - trivial) / (best - trivial), best of all learners here; 0 for what is worse than trivial."""
        best = max(scores.mean() for scores in self.scores.values())
        return max(0.0, (self.scores[learner].mean() - self.trivial) / (best - self.trivial))

    def ahead(self, rival: str) -> tuple[float, float]:
        """The mean of ours minus theirs, split by split, and its standard error."""
        return _mean_and_error(self.scores[OURS] - self.scores[rival])


def lines() -> Iterator[str]:
    with ExitStack() as stack:
        rivals: dict[str, Learner] = {PERCEPTRON: perceptron, BOOSTING: boosting}
        absent = ""
        try:
            rivals[H2O] = deep_learning(stack.enter_context(h2o.running()))
        except h2o.Absent as reason:
            absent = f"H2O-3 was left out: {reason}."
        outcomes = [measured(table, rivals) for table in tables()]
    yield from _table(outcomes, [OURS, *rivals])
    yield ""
    yield from _verdict(outcomes)
    if absent:
        yield absent


def measured(table: DataTable, rivals: Mapping[str, Learner]) -> Outcome:
    scores: dict[str, list[float]] = {name: [] for name in (OURS, *rivals)}
    taken = dict.fromkeys(scores, 0.0)
    for seed in range(table.repeats):
        began = time.perf_counter()
        test, answers = default_run.answers(table, seed)
        taken[OURS] += time.perf_counter() - began
        scores[OURS].append(score(table, test, answers))
        train = np.setdiff1d(np.arange(table.rows), test)
        for name, learner in rivals.items():
            began = time.perf_counter()
            answers = learner(table, train, test, seed)
            taken[name] += time.perf_counter() - began
            scores[name].append(score(table, test, answers))
    told = ", ".join(f"{name} {np.mean(found):.4f} in {taken[name]:.0f} s" for name, found in scores.items())
    print(f"  {table.name}: {told}", file=sys.stderr)
    return Outcome(
        table,
        trivial(table),
        {name: np.array(found) for name, found in scores.items()},
        {name: each / table.repeats for name, each in taken.items()},
    )


def score(table: DataTable, rows: np.ndarray, answers: np.ndarray) -> float:
    truth = table.target[rows]
    if table.metric == "r2":
        return float(r2_score(truth, answers))
    if table.metric == "auc":
        return float(roc_auc_score(truth, answers[:, 1]))
    return float((np.unique(table.target)[answers.argmax(1)] == truth).mean())


def trivial(table: DataTable) -> float:
    """What an answer reaches that looks at no feature: the mean, the commonest class, any order."""
    if table.metric == "accuracy":
        return float(np.unique(table.target, return_counts=True)[1].max() / table.rows)
    return 0.0 if table.metric == "r2" else 0.5


def _table(outcomes: Sequence[Outcome], learners: Sequence[str]) -> Iterator[str]:
    heads = ["table", "rows", "splits", "score", *learners, f"{OURS} - {PERCEPTRON}"]
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for outcome in outcomes:
        table = outcome.table
        found = [f"{outcome.scores[name].mean():.4f}" for name in learners]
        mean, error = outcome.ahead(PERCEPTRON)
        about = [f"{table.name}: {table.about}", f"{table.rows:,}", str(table.repeats), table.metric]
        yield f"| {' | '.join([*about, *found, f'{mean:+.4f} ± {error:.4f}'])} |"
    plain = [f"{np.mean([each.scores[name].mean() for each in outcomes]):.4f}" for name in learners]
    yield f"| mean | | | | {' | '.join(plain)} | |"
    shares = [f"{np.mean([each.normalised(name) for each in outcomes]):.4f}" for name in learners]
    yield f"| mean, normalised | | | | {' | '.join(shares)} | |"
    longest = max(outcomes, key=lambda each: each.table.rows)
    seconds = [f"{longest.seconds[name]:.0f}" for name in learners]
    yield f"| seconds for {longest.table.name} | | | | {' | '.join(seconds)} | |"


def _verdict(outcomes: Sequence[Outcome]) -> Iterator[str]:
    ahead = [outcome.ahead(PERCEPTRON) for outcome in outcomes]
    held = sum(mean >= -error - 1e-9 for mean, error in ahead)  # one row more in one of five splits is just that error
    ours, theirs = (np.mean([each.normalised(name) for each in outcomes]) for name in (OURS, BOOSTING))
    yield (
        f"± is one standard error of the difference over the splits. Better than {PERCEPTRON}, or equal within that "
        f"error: {held} of {len(outcomes)} tables. Normalised is (score - trivial) / (best - trivial), where trivial "
        f"looks at no feature and best is the best learner's; of it {OURS} has {ours / theirs:.3f} times what "
        f"{BOOSTING} has."
    )


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)
