import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.conformal import MOST_SCORES, Calibration, scores_of
from learning.targets import Target

F64 = torch.float64
NUMBER = Target("regression", ("y",), False, None, (3.0,), (10.0,))
NUMBERS = Target("regression", ("a", "b"), True, None, (0.0, 0.0), (1.0, 5.0))
COUNT = Target("regression", ("n",), False, None, (0.0,), (1.0,), "log")
KIND = Target("multiclass", ("y",), False, ("a", "b", "c"), (), ())
FLAG = Target("binary", ("y",), False, (False, True), (), ())
LABELS = Target("multilabel", ("wet", "cold"), True, None, (), ())


def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def of_scores(*columns, target=NUMBER):
    return Calibration.of(target, [torch.tensor(columns, dtype=F64)])


def drawn(kind, rows, seed):
    """Target, answers and encoded targets of a model that is often wrong, and unsure."""
    match kind:
        case "regression":
            truth = random(rows, 2, seed=seed) * torch.tensor([1.0, 5.0], dtype=F64)
            return NUMBERS, truth + random(rows, 2, seed=seed + 1).abs() * truth, (truth / torch.tensor([1.0, 5.0]))
        case "binary":
            logits = random(rows, 1, seed=seed)
            encoded = (logits + random(rows, 1, seed=seed + 1) > 0).float()
            return FLAG, FLAG.probabilities(logits * 3), encoded
        case "multiclass":
            logits = random(rows, 3, seed=seed)
            encoded = (logits + random(rows, 3, seed=seed + 1)).argmax(1)
            return KIND, KIND.probabilities(logits * 3), encoded
        case _:
            logits = random(rows, 2, seed=seed)
            encoded = (logits + random(rows, 2, seed=seed + 1) > 0.3).float()
            return LABELS, LABELS.probabilities(logits * 3), encoded


def covered(kind, calibration, answers, encoded, level):
    """Of each target the share of rows whose truth is inside."""
    target = calibration.target
    if target.task == "regression":
        low, high = torch.tensor(calibration.intervals(answers, level), dtype=F64).unbind(2)
        truth = encoded.double() * torch.tensor(target.scale, dtype=F64)
        return ((low <= truth) & (truth <= high)).double().mean(0).tolist()
    sets = calibration.sets(answers, level)
    if target.task == "multilabel":
        return [
            np.mean([bool(true[column]) in row[column] for row, true in zip(sets, encoded.tolist(), strict=True)])
            for column in range(2)
        ]
    codes = encoded.view(-1).long().tolist()
    return [np.mean([target.classes[code] in row for row, code in zip(sets, codes, strict=True)])]


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass", "multilabel"])
def test_nine_in_ten_new_rows_are_covered(kind):
    """Over 20 repeats. With 2,000 calibration rows a coverage is itself drawn, with a deviation of 0.0067."""
    found = []
    for repeat in range(20):
        target, answers, encoded = drawn(kind, 10_000, seed=100 * repeat)
        calibration = Calibration.fit(target, answers[:2000], encoded[:2000])
        found.append(covered(kind, calibration, answers[2000:], encoded[2000:], 0.9))
    found = np.array(found)
    assert ((found > 0.87) & (found < 0.93)).all()
    assert found.mean(0) == pytest.approx(0.9, abs=0.005)


@settings(deadline=None)
@given(
    scores=st.lists(st.floats(0, 1e6), min_size=1, max_size=60),
    level=st.sampled_from([0.01, 0.07, 0.29, 0.5, 0.9, 0.95, 0.999]),
)
def test_the_score_is_the_one_of_that_rank_or_there_is_none(scores, level):
    rank = math.ceil(round(level * 1000) * (len(scores) + 1) / 1000 - 1e-9)
    expected = sorted(scores)[rank - 1] if rank <= len(scores) else math.inf
    assert of_scores(scores).quantiles(level).tolist() == [expected]


@pytest.mark.parametrize(("rows", "ends"), [(8, None), (9, 8.0)])
def test_too_few_rows_promise_nothing(rows, ends):
    found = of_scores([float(score) for score in range(rows)]).intervals(torch.tensor([[5.0]], dtype=F64), 0.9)
    assert found == ([[None, None]] if ends is None else [[5.0 - ends, 5.0 + ends]])


def test_with_too_few_rows_a_set_holds_every_class():
    few = Calibration.of(KIND, [torch.tensor([[0.5]], dtype=F64)])
    assert few.sets(torch.tensor([[1.0, 0.0, 0.0]], dtype=F64), 0.9) == [["a", "b", "c"]]


def test_an_interval_is_as_far_as_a_residual_in_the_targets_own_units():
    encoded = torch.tensor([[0.0], [1.0]])  # 3 and 13
    found = Calibration.fit(NUMBER, torch.tensor([[4.0], [7.0]], dtype=F64), encoded)
    assert found.scores.tolist() == [[1.0, 6.0]]
    assert found.intervals(torch.tensor([[10.0]], dtype=F64), 0.5) == [[4.0, 16.0]]


def test_each_listed_target_has_an_interval_of_its_own():
    found = of_scores([1.0] * 9, [2.0] * 9, target=NUMBERS)
    assert found.intervals(torch.tensor([[0.0, 10.0]], dtype=F64), 0.9) == [[[-1.0, 1.0], [8.0, 12.0]]]


def test_no_interval_of_counts_begins_below_zero():
    found = of_scores([2.0] * 9, target=COUNT)
    assert found.intervals(torch.tensor([[1.5]], dtype=F64), 0.9) == [[0.0, 3.5]]


def test_a_set_holds_the_classes_that_are_likely_enough_or_else_the_likeliest():
    found = Calibration.of(KIND, [torch.full((1, 9), 0.55, dtype=F64)])
    told = torch.tensor([[0.48, 0.46, 0.06], [0.9, 0.05, 0.05], [0.44, 0.3, 0.26]], dtype=F64)
    assert found.sets(told, 0.9) == [["a", "b"], ["a"], ["a"]]


def test_a_label_has_a_set_of_its_own():
    found = Calibration.of(LABELS, [torch.tensor([[0.6], [0.2]], dtype=F64).expand(2, 9)])
    told = torch.tensor([[0.5, 0.9], [0.1, 0.3]], dtype=F64)
    assert found.sets(told, 0.9) == [[[False, True], [True]], [[False], [False]]]


@settings(deadline=None, max_examples=30)
@given(rows=st.integers(MOST_SCORES - 2, 3 * MOST_SCORES), level=st.sampled_from([0.01, 0.5, 0.9, 0.99, 0.9995]))
def test_of_many_scores_some_are_kept_and_what_is_between_them_is_rounded_up(rows, level):
    scores = random(1, rows, seed=rows).abs()
    found, whole = Calibration.of(NUMBER, [scores]), scores[0].sort().values
    assert found.scores.shape[1] == min(rows, MOST_SCORES)
    assert found.rows == rows
    assert (found.scores.diff() >= 0).all()
    exact = math.ceil(level * (rows + 1) - 1e-9) - 1
    told = int((whole == found.quantiles(level)).nonzero())
    assert exact <= told <= exact + rows // MOST_SCORES
    assert found.scores[0, -1] == whole[-1]


def test_folds_are_pooled_row_by_row():
    target, answers, encoded = drawn("multiclass", 300, seed=5)
    parts = [scores_of(target, answers[rows], encoded[rows]) for rows in (slice(0, 90), slice(90, 300))]
    pooled, whole = Calibration.of(target, parts), Calibration.fit(target, answers, encoded)
    assert pooled.rows == whole.rows == 300
    assert pooled.scores.equal(whole.scores)


def test_an_answer_that_is_no_number_is_infinitely_far_off():
    target, answers, encoded = drawn("regression", 200, seed=3)
    answers[7, 0], answers[8, 1] = math.inf, math.nan
    found = Calibration.fit(target, answers, encoded)
    assert found.scores[:, -1].tolist() == [math.inf, math.inf]
    assert bool(found.scores[:, :-1].isfinite().all())
