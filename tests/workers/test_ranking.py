"""Who stands first among the members of a run, and what the run says of itself then."""

import math

import pytest

from learning.specs import members_of
from learning.trained import MemberProgress
from workers.ranking import Ranking, means

SPEC = {
    "seed": 0,
    "network": {"layers": []},
    "optimizer": {"betas": [0.9, 0.999]},
    "loss": "cross_entropy",
    "epochs": 4,
    "batch_size": 8,
    "initialization": "he",
}


def progress(*values, failed=()):
    return [
        MemberProgress(
            index,
            "failed" if index in failed else "running",
            3,
            {"epoch": 2, "metric": "validation.loss", "value": value},
            None,
        )
        for index, value in enumerate(values)
    ]


def first(spec, members, accuracies=None):
    def measured(member):
        own = {"loss": member.best["value"]}
        return {"validation": own | ({"accuracy": accuracies[member.index]} if accuracies else {})}

    return Ranking(spec, members_of(spec)).first(members, measured)


def test_the_lowest_value_stands_first_and_of_equal_ones_the_first():
    spec = SPEC | {"sweep": {"seed": [0, 1, 2]}}
    found = first(spec, progress(0.5, 0.2, 0.2))
    assert found.best == {"member": 1, "epoch": 2, "metric": "validation.loss", "value": 0.2}
    assert found.members == (1,)
    assert found.metrics == {"validation": {"loss": 0.2}}


def test_a_failed_member_is_never_first_and_nobody_is_where_all_failed():
    spec = SPEC | {"sweep": {"seed": [0, 1]}}
    assert first(spec, progress(0.1, 0.9, failed=[0])).best["member"] == 1
    assert first(spec, progress(0.1, 0.9, failed=[0, 1])) is None


@pytest.mark.parametrize("path", ["loss", "class_weights"])
def test_members_with_losses_of_their_own_are_compared_by_accuracy(path):
    spec = SPEC | {"members": [{path: "balanced"}, {path: None}]} | ({"class_weights": None})
    best = first(spec, progress(0.1, 0.9), accuracies=[0.7, 0.8]).best
    assert best == {"member": 1, "epoch": 2, "metric": "validation.accuracy", "value": 0.8}


def test_of_settings_in_folds_the_mean_counts_and_the_best_settings_folds_answer_together():
    spec = SPEC | {"sweep": {"seed": [0, 1]}, "validation": {"folds": 3}}
    found = first(spec, progress(0.1, 0.9, 0.8, 0.5, 0.4, 0.6))
    assert found.members == (3, 4, 5)
    assert found.best == {
        "member": None,
        "members": [3, 4, 5],
        "epoch": None,
        "metric": "validation.loss",
        "value": pytest.approx(0.5),
    }
    assert found.metrics["validation"]["loss"] == pytest.approx(0.5)
    assert found.metrics["validation_std"]["loss"] == pytest.approx((0.02 / 3) ** 0.5)


def test_a_setting_with_a_failed_fold_comes_after_the_whole_ones():
    spec = SPEC | {"sweep": {"seed": [0, 1]}, "validation": {"folds": 2}}
    assert first(spec, progress(0.1, 0.1, 0.9, 0.9, failed=[1])).members == (2, 3)
    assert first(spec, progress(0.1, 0.1, 0.9, 0.9, failed=[1, 2, 3])).members == (0,)


def test_one_fold_alone_is_a_member_like_any_other():
    spec = SPEC | {"sweep": {"seed": [0, 1]}, "validation": {"folds": 5, "fold": 2}}
    assert first(spec, progress(0.3, 0.2)).best["member"] == 1


def test_all_members_of_an_ensemble_that_did_not_fail_answer_together():
    spec = SPEC | {"sweep": {"seed": [0, 1, 2]}, "ensemble": True}
    found = first(spec, progress(0.3, 0.2, 0.1, failed=[2]))
    assert found.members == (0, 1)
    assert found.best["member"] is None


def test_what_a_fold_lacks_has_no_mean_and_what_is_infinite_no_deviation():
    told = [{"validation": {"r2": math.nan, "rmse": 1.0}}, {"validation": {"r2": 0.5, "rmse": math.inf}}]
    found = means(told)
    assert found["validation"] == {"rmse": math.inf}
    assert math.isnan(found["validation_std"]["rmse"])
