"""What is told of a fit, and when."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from learning.fitting import EpochReport
from learning.specs import members_of
from learning.trained import MemberProgress
from workers.ranking import Ranking
from workers.reporting import Reporter

LOSS, ACCURACY, TRAIN = ("validation", "loss"), ("validation", "accuracy"), ("train", "loss")
# Two members, four epochs: the first is at its best in the second epoch, the second in the third.
LOSSES = [[0.9, 0.8], [0.3, 0.7], [0.4, 0.35], [0.5, 0.6]]


TWO = members_of(
    {
        "seed": 0,
        "network": {"layers": []},
        "optimizer": {"betas": [0.9, 0.999]},
        "loss": "cross_entropy",
        "epochs": 4,
        "batch_size": 8,
        "initialization": "he",
        "sweep": {"seed": [0, 1]},
    }
)


class Pulse(SimpleNamespace):
    pass


def pulse(epoch, *, failed=(), new=True):
    losses = np.array(LOSSES[:epoch])
    members = []
    for index in range(2):
        at = int(losses[:, index].argmin())
        best = {"epoch": at + 1, "metric": "validation.loss", "value": float(losses[at, index])}
        status = "failed" if index in failed else "running"
        members.append(MemberProgress(index, status, epoch, best, "non_finite_loss" if index in failed else None))
    loss = torch.tensor(LOSSES[epoch - 1])
    values = {TRAIN: loss + 1, LOSS: loss, ACCURACY: 1 - loss}
    epochs = (EpochReport(epoch, torch.tensor([epoch * 10] * 2), values),) if new else ()
    return Pulse(epoch=epoch, step=epoch * 10, fraction=epoch / 4, finished=epoch == 4, epochs=epochs, members=members)


@pytest.fixture
def clock():
    return SimpleNamespace(now=50.0)


@pytest.fixture
def reporter(clock):
    return Reporter(4, 2, Ranking({}, TWO), lambda: clock.now)


def told(reporter, clock, *epochs):
    for epoch in epochs:
        reporter.take(pulse(epoch))
    report = reporter.report(pulse(epochs[-1], new=False))
    reporter.written(report)
    return report


def test_the_first_epoch_is_due_at_once_and_then_four_times_a_second(reporter, clock):
    assert not reporter.is_due()
    reporter.take(pulse(1))
    assert reporter.is_due()
    reporter.written(reporter.report(pulse(1)))
    reporter.take(pulse(2))
    assert not reporter.is_due()
    clock.now += 0.24
    assert not reporter.is_due()
    clock.now += 0.02
    assert reporter.is_due()


def test_within_a_long_epoch_progress_is_written_once_a_second(reporter, clock):
    clock.now += 0.3
    assert reporter.is_due()
    assert not reporter.has_news()
    reporter.looked()
    clock.now += 0.8
    assert reporter.is_due()
    assert reporter.has_news()


def test_each_epoch_is_in_one_chunk_of_each_series(reporter, clock):
    first = told(reporter, clock, 1)
    rest = told(reporter, clock, 2, 3, 4)
    assert told_epochs(first) == {series: (1, [[10]], LOSSES[:1]) for series in [LOSS]}
    assert told_epochs(rest) == {series: (2, [[20], [30], [40]], LOSSES[1:]) for series in [LOSS]}
    assert len(first.chunks) == len(rest.chunks) == 3
    assert reporter.report(pulse(4, new=False)).chunks == []


def told_epochs(report):
    return {
        (each.split, each.name): (each.first_epoch, each.steps.tolist(), each.values.astype(float).round(6).tolist())
        for each in report.chunks
        if (each.split, each.name) == LOSS
    }


def test_metrics_are_those_of_the_best_member_at_its_best_epoch_however_late_they_are_written(reporter, clock):
    report = told(reporter, clock, 1, 2, 3, 4)
    assert report.best == {"member": 0, "epoch": 2, "metric": "validation.loss", "value": 0.3}
    assert report.metrics["validation"] == {"loss": pytest.approx(0.3), "accuracy": pytest.approx(0.7)}
    assert report.metrics["train"] == {"loss": pytest.approx(1.3)}
    assert report.told["epoch"] == 4
    assert report.told["metrics"]["validation"]["loss"] == pytest.approx(0.5)
    assert [(each.index, each.best["epoch"], each.last["validation"]["loss"]) for each in report.members] == [
        (0, 2, pytest.approx(0.5)),
        (1, 3, pytest.approx(0.6)),
    ]


def test_metrics_at_an_epoch_told_before_are_remembered(reporter, clock):
    told(reporter, clock, 1, 2)
    report = told(reporter, clock, 3, 4)
    assert report.metrics["validation"]["loss"] == pytest.approx(0.3)


def test_members_of_a_large_population_are_told_of_less_often(clock):
    reporter = Reporter(4, 2_000, Ranking({}, TWO), lambda: clock.now)
    reporter.take(pulse(1))
    assert reporter.report(pulse(1)).members
    reporter.written(reporter.report(pulse(1)))
    clock.now += 1.9
    assert not reporter.report(pulse(1)).members
    assert reporter.report(pulse(1), whole=True).members
    clock.now += 0.2
    assert reporter.report(pulse(1)).members


def test_a_report_that_took_long_is_followed_by_many_times_that_of_training(reporter, clock):
    told(reporter, clock, 1)
    reporter.take(pulse(2))
    report = reporter.report(pulse(2))
    clock.now += 0.1
    reporter.written(report)
    reporter.take(pulse(3))
    clock.now += 3.9
    assert not reporter.has_news()
    clock.now += 0.2
    assert reporter.has_news()
    report = reporter.report(pulse(3))
    clock.now += 60.0  # the database was slow
    reporter.written(report)
    reporter.take(pulse(4))
    clock.now += 10.1
    assert reporter.has_news(), "but nobody waits for ever"


def test_a_report_that_is_part_of_something_longer_delays_none(reporter, clock):
    told(reporter, clock, 1)
    reporter.take(pulse(2))
    report = reporter.report(pulse(2), whole=True)
    clock.now += 5.0  # a checkpoint
    reporter.written(report)
    reporter.take(pulse(3))
    assert reporter.has_news()


def test_the_time_left_is_the_time_so_far_for_what_is_left(reporter, clock):
    clock.now += 3.0
    assert reporter.report(pulse(3)).progress == {"epoch": 3, "epochs": 4, "fraction": 0.75, "eta_seconds": 1.0}


def test_a_member_that_has_ended_keeps_the_figures_it_ended_with():
    reporter = Reporter(4, 2, Ranking({}, TWO))
    third = pulse(3)
    for values in third.epochs[0].values.values():
        values[0] = torch.nan
    reporter.take(pulse(2))
    reporter.take(third)
    first, second = reporter.report(third, whole=True).members
    assert first.last["validation"]["loss"] == pytest.approx(0.3)
    assert second.last["validation"]["loss"] == pytest.approx(0.35)


def test_a_series_goes_on_as_nothing_where_all_who_have_it_have_ended(reporter, clock):
    r2 = ("validation", "r2")  # of folds, those with a single row have none
    first, second, third = (pulse(epoch) for epoch in (1, 2, 3))
    first.epochs[0].values[r2] = torch.tensor([0.25, torch.nan])
    for each in (first, second):
        reporter.take(each)
    report = reporter.report(second)
    (chunk,) = (each for each in report.chunks if (each.split, each.name) == r2)
    assert chunk.values[0, 0] == 0.25
    assert np.isnan(chunk.values[1]).all()
    reporter.written(report)
    reporter.take(third)
    told = reporter.report(third, whole=True).members[0].last
    assert told["validation"]["r2"] == 0.25, "what it ended with"
