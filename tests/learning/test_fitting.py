from dataclasses import replace

import pytest
import torch

from learning import fitting
from learning.evaluation import Evaluation
from learning.examples import Data
from learning.fitting import fit
from learning.losses import example_losses
from learning.network import predict_blocks
from learning.sums import halving_mean
from learning.weights import slice_member
from tests.learning.trials import examples, member, members, network, run, target


def test_every_epoch_is_told_once_with_its_figures():
    train, validation = examples("regression", 70, 4, 2), examples("regression", 30, 4, 2, seed=1)
    found = run(members(3, task="regression", epochs=5), "regression", 2, train, validation)
    assert [report.epoch for report in found.reports] == [1, 2, 3, 4, 5]
    assert [report.steps.tolist() for report in found.reports] == [[steps] * 3 for steps in (3, 6, 9, 12, 15)]
    for report in found.reports:
        assert set(report.values) == {("train", "loss")} | {
            ("validation", name) for name in ("loss", "rmse", "mae", "r2")
        }
        assert all(value.shape == (3,) and value.dtype == torch.float64 for value in report.values.values())


def test_classes_are_told_their_accuracy():
    train, validation = examples("multiclass", 70, 4, 3), examples("multiclass", 30, 4, 3, seed=1)
    found = run(members(1, epochs=30), "multiclass", 3, train, validation)
    assert set(found.reports[0].values) == {("train", "loss"), ("validation", "loss"), ("validation", "accuracy")}
    assert found.told(0, "accuracy")[-1] > 0.7
    assert found.told(0, "loss", "train")[-1] < found.told(0, "loss", "train")[0] / 2


def test_progress_grows_from_nothing_to_one(monkeypatch):
    monkeypatch.setattr(fitting, "PULSE", 1e-9)
    train = examples("multiclass", 100, 4, 3)
    found = run(members(2, batch_size=10, epochs=3), "multiclass", 3, train)
    assert found.fractions == sorted(found.fractions)
    assert 0 < found.fractions[0] <= 1 / 30
    assert found.fractions[-1] == 1.0
    assert found.last.finished
    assert [each.status for each in found.last.members] == ["succeeded"] * 2


def test_a_long_epoch_yields_pulses_on_its_way():
    train = examples("multiclass", 20_000, 4, 3)
    driver = fit(members(1, batch_size=4, epochs=1), Data(target("multiclass", 3), train))
    steps = [pulse.step for pulse in driver]
    assert len(steps) > 5
    assert max(after - before for before, after in zip([0, *steps], steps, strict=False)) < 1000


def test_the_epoch_of_lowest_validation_loss_is_kept():
    train, validation = examples("multiclass", 30, 10, 3), examples("multiclass", 200, 10, 3, seed=1)
    given = {"layers": (40,), "learning_rate": 0.05, "epochs": 25, "batch_size": 8}
    found = run([member(**given)], "multiclass", 3, train, validation)
    losses = found.told(0, "loss")
    best = losses.index(min(losses)) + 1
    assert 1 < best < 25, "this trial is meant to overfit"
    assert found.last.members[0].best == {"epoch": best, "metric": "validation.loss", "value": min(losses)}
    until_best = run([member(**(given | {"epochs": best}))], "multiclass", 3, train)
    assert found.trained.sha256(0) == until_best.trained.sha256(0)


def test_of_equal_validation_losses_the_earliest_epoch_is_kept():
    train, validation = examples("multiclass", 30, 4, 3), examples("multiclass", 30, 4, 3, seed=1)
    found = run([member(learning_rate=1e-30, epochs=3)], "multiclass", 3, train, validation)
    assert len(set(found.told(0, "loss"))) == 1
    assert found.last.members[0].best["epoch"] == 1


def test_without_validation_the_last_finished_epoch_is_kept(monkeypatch):
    monkeypatch.setattr(fitting, "PULSE", 1e-9)
    train = examples("multiclass", 60, 4, 3)
    driver = fit(members(1, batch_size=10, epochs=3), Data(target("multiclass", 3), train))
    told, hashes = {}, {}
    for pulse in driver:
        told |= {report.epoch: report.values["train", "loss"].item() for report in pulse.epochs}
        hashes.setdefault(pulse.epoch, set()).add(pulse.trained().sha256(0))
        best = pulse.members[0].best
        expected = {"epoch": pulse.epoch, "metric": "train.loss", "value": told[pulse.epoch]} if pulse.epoch else None
        assert best == expected
    assert sorted(hashes) == [0, 1, 2, 3]
    assert all(len(found) == 1 for found in hashes.values()), "steps of an unfinished epoch change nothing that is kept"


def test_a_driver_that_stops_after_an_epoch_has_what_a_shorter_run_has():
    train, validation = examples("multiclass", 60, 4, 3), examples("multiclass", 60, 4, 3, seed=1)
    for pulse in fit(members(2, epochs=50), Data(target("multiclass", 3), train, validation)):
        if pulse.epoch == 4:
            break
    short = run(members(2, epochs=4), "multiclass", 3, train, validation)
    assert pulse.trained().sha256(1) == short.trained.sha256(1)
    assert [each.status for each in pulse.members] == ["running"] * 2


@pytest.mark.parametrize(("task", "width"), [("regression", 2), ("binary", 1), ("multiclass", 3)])
def test_validation_loss_is_that_of_the_predictions_to_the_bit(task, width):
    train, validation = examples(task, 60, 4, width), examples(task, 150, 4, width, seed=1)
    found = run(members(5, task=task, epochs=1), task, width, train, validation)
    for k in (0, 4):
        outputs = predict_blocks(network(8), slice_member(found.trained.stacks[0].tensors(), k), validation.inputs)
        loss = halving_mean(example_losses(found.trained.stacks[0].members[k].loss, outputs, validation.targets), 0)
        assert loss.item() == found.told(k, "loss")[0]


@pytest.mark.parametrize("batch_size", [60, 61, 1000, None])
def test_a_batch_at_least_as_large_as_the_split_is_the_full_split(batch_size):
    train = examples("multiclass", 60, 4, 3)
    found = run(members(1, batch_size=batch_size), "multiclass", 3, train)
    full = run(members(1, batch_size=None, optimizer="adam"), "multiclass", 3, train)
    assert found.last.step == 2
    assert found.trained.sha256(0) == full.trained.sha256(0)


def test_train_loss_is_the_example_weighted_mean_of_batch_losses_as_trained():
    """With a learning rate of nothing each batch is measured with the same weights: the mean over all rows."""
    train = examples("multiclass", 50, 4, 3)
    found = run([member(learning_rate=1e-30, epochs=1, batch_size=32)], "multiclass", 3, train, train)
    assert found.told(0, "loss", "train")[0] == pytest.approx(found.told(0, "loss")[0], rel=1e-6)


def test_members_of_other_shapes_are_trained_beside_one_another_as_if_alone():
    train, validation = examples("multiclass", 60, 4, 3), examples("multiclass", 20, 4, 3, seed=1)
    others = (
        member(0),
        member(1, layers=(9, 5)),
        member(2, batch_size=5),
        replace(member(3), initialization="he"),
        member(4, optimizer="sgd", nesterov=True, momentum=0.5),
        member(5, epochs=4),
        member(6, label_smoothing=0.1),
        member(7),
    )
    together = run(others, "multiclass", 3, train, validation, threads=2)
    assert [each.index for each in together.last.members] == list(range(8))
    assert together.reports[1].steps.tolist() == [4, 4, 24, 4, 4, 4, 4, 4]
    for k, spec in enumerate(others):
        own = run([spec], "multiclass", 3, train, validation)
        assert together.trained.sha256(k) == own.trained.sha256(k)
        assert together.told(k, "loss")[:2] == own.told(0, "loss")[:2]


@pytest.mark.parametrize("threads", [1, 2])
def test_no_more_are_measured_at_a_time_than_there_are_threads(monkeypatch, threads):
    begun, most, held = set(), [], []
    run_piece = Evaluation.run

    def watched(self, piece):
        begun.add(self)
        most.append(len(begun))
        run_piece(self, piece)
        if piece == len(self.pieces) - 1:
            begun.remove(self)
            held.append(hasattr(self, "outputs"))

    monkeypatch.setattr(Evaluation, "run", watched)
    monkeypatch.setattr(fitting, "PULSE", 1.0)  # so that each piece is a work of its own
    train, validation = examples("multiclass", 40, 3, 4), examples("multiclass", 2500, 3, 4)
    specs = [member(index, layers=(index + 1,), epochs=1) for index in range(6)]
    list(fit(specs, Data(target("multiclass", 4), train, validation), threads=threads))
    assert max(most) <= threads
    assert held == [False] * 6, "what was measured is let go"
