import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from learning.ranking import MOST_POINTS, Ranking


def drawn(rows, *, seed, share=0.3, spread=1.0, steps=None):
    random = torch.Generator().manual_seed(seed)
    positive = torch.rand(rows, generator=random) < share
    positive[0], positive[1] = True, False
    scores = torch.randn(rows, generator=random, dtype=torch.float64) + spread * positive
    return (scores if steps is None else (scores * steps).round() / steps), positive


def under(curve):
    return np.trapezoid(curve.y.numpy(), curve.x.numpy())


@pytest.mark.parametrize("steps", [None, 2, 20])
def test_short_curves_are_scikit_learns_own(steps):
    scores, positive = drawn(150, seed=1, steps=steps)
    ranking = Ranking.of(scores, positive)
    curve = ranking.roc()
    theirs = reference.roc_curve(positive.numpy(), scores.numpy(), drop_intermediate=False)
    ours = [curve.x.numpy(), curve.y.numpy(), curve.threshold.numpy()]
    assert {*zip(*ours, strict=True)} <= {*zip(*theirs, strict=True)}
    assert len(curve.x) <= len(reference.roc_curve(positive.numpy(), scores.numpy())[0])
    assert under(curve) == pytest.approx(reference.auc(*theirs[:2]), abs=1e-12)
    precision, recall, thresholds = reference.precision_recall_curve(positive.numpy(), scores.numpy())
    curve = ranking.precision_recall()
    assert curve.x.tolist() == pytest.approx(recall[::-1].tolist())
    assert curve.y.tolist() == pytest.approx(precision[::-1].tolist())
    assert curve.threshold[1:].tolist() == pytest.approx(thresholds[::-1].tolist())


@pytest.mark.parametrize("steps", [None, 3])
def test_areas_are_scikit_learns(steps):
    scores, positive = drawn(3000, seed=2, steps=steps)
    ranking = Ranking.of(scores, positive)
    assert ranking.area() == pytest.approx(reference.roc_auc_score(positive, scores), abs=1e-12)
    assert ranking.average_precision() == pytest.approx(reference.average_precision_score(positive, scores), abs=1e-12)


@settings(deadline=None, max_examples=200)
@given(
    rows=st.integers(2, 20_000),
    share=st.sampled_from([0.001, 0.02, 0.3, 0.5, 0.98]),
    spread=st.sampled_from([-1.0, 0.0, 0.5, 2.0, 5.0]),
    steps=st.sampled_from([None, 5, 1000]),
    seed=st.integers(0, 2**31),
)
def test_a_thinned_curve_keeps_its_area_and_only_points_of_the_whole(rows, share, spread, steps, seed):
    scores, positive = drawn(rows, seed=seed, share=share, spread=spread, steps=steps)
    ranking = Ranking.of(scores, positive)
    roc, precise = ranking.roc(), ranking.precision_recall()
    assert len(roc.x) <= MOST_POINTS
    assert len(precise.x) <= MOST_POINTS
    assert under(roc) == pytest.approx(ranking.area(), abs=1e-3)
    precision, recall, _ = reference.precision_recall_curve(positive.numpy(), scores.numpy())
    assert under(precise) == pytest.approx(np.trapezoid(precision[::-1], recall[::-1]), abs=1e-3)
    assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0, 0, 1, 1)
    assert (precise.x[0], precise.y[0], precise.x[-1]) == (0, 1, 1)
    for curve in (roc, precise):
        assert (curve.x.diff() >= 0).all()
        assert (curve.threshold.diff() < 0).all()
    for x, y, threshold in zip(*(each[1:].tolist() for each in (roc.x, roc.y, roc.threshold)), strict=True):
        called = scores >= threshold
        assert x == pytest.approx((called & ~positive).sum().item() / (~positive).sum().item())
        assert y == pytest.approx((called & positive).sum().item() / positive.sum().item())


@pytest.mark.parametrize("stairs", [150, 199, 200, 333, 398, 1000])
def test_even_stairs_do_not_add_up_their_errors(stairs):
    """A curve whose every corner errs in the same direction, wherever marks at equal ways may fall."""
    positive = torch.tensor([True, False]).repeat(stairs)
    ranking = Ranking.of(-torch.arange(2 * stairs, dtype=torch.float64), positive)
    assert under(ranking.roc()) == pytest.approx(ranking.area(), abs=1e-3)
