import pytest
import torch

from learning import fitting, schedule
from learning.examples import Data
from learning.fitting import fit
from learning.specs import EarlyStoppingSpec
from tests.learning.trials import alone, examples, member, members, run, target

GIVEN = {"layers": (40,), "learning_rate": 0.05, "batch_size": 8, "epochs": 40}
TRAIN, VALIDATION = examples("multiclass", 30, 10, 3), examples("multiclass", 200, 10, 3, seed=1)


def fitted(specs, **given):
    return run(specs, "multiclass", 3, TRAIN, VALIDATION, **given)


def last_epoch(losses: list[float], patience: int, min_delta: float) -> int:
    """Where it must end, told by the losses of a run that did not stop."""
    reference, waited = float("inf"), 0
    for epoch, loss in enumerate(losses, 1):
        reference, waited = (loss, 0) if loss < reference - min_delta else (reference, waited + 1)
        if waited == patience:
            return epoch
    return len(losses)


@pytest.mark.parametrize(("patience", "min_delta"), [(1, 0.0), (4, 0.0), (3, 0.05), (1, 10.0)])
def test_a_member_ends_when_its_patience_does_and_keeps_its_best_weights(patience, min_delta):
    whole = fitted([member(**GIVEN)])
    losses = whole.told(0, "loss")
    expected = last_epoch(losses, patience, min_delta)
    assert expected < 40, "this trial is meant to overfit"
    found = fitted([member(**GIVEN, early_stopping=EarlyStoppingSpec(patience, min_delta))])
    assert found.told(0, "loss") == losses[:expected]
    assert found.last.finished
    assert found.last.fraction == 1.0
    (progress,) = found.last.members
    best = losses.index(min(losses[:expected])) + 1
    assert (progress.status, progress.epoch, progress.best["epoch"]) == ("succeeded", expected, best)
    assert found.trained.sha256(0) == fitted([member(**{**GIVEN, "epochs": best})]).trained.sha256(0)


@pytest.mark.parametrize("size", [128, 2])
def test_members_that_ended_rest_and_disturb_no_other(size, monkeypatch):
    monkeypatch.setattr(schedule, "MOST_MEMBERS", size)
    monkeypatch.setattr(schedule, "PAYING", 1e-3)
    patience = [2, 100, 1, 5, 3]
    specs = [member(index, **GIVEN, early_stopping=EarlyStoppingSpec(each)) for index, each in enumerate(patience)]
    together = fitted(specs, threads=2)
    ends = [each.epoch for each in together.last.members]
    assert ends[1] == 40
    assert len(set(ends)) > 2
    for k, spec in enumerate(specs):
        own = fitted([alone(spec)])
        assert own.trained.sha256(0) == together.trained.sha256(k)
        assert together.told(k, "loss")[: ends[k]] == own.told(0, "loss")
        assert torch.tensor(together.told(k, "loss")[ends[k] :]).isnan().all()
        for name, tensor in own.state.tensors.items():
            assert torch.equal(together.state.tensors[name][k], tensor[0]), f"its last {name} stand as they were"


def test_a_snapshot_between_epochs_holds_those_that_ended_and_those_that_go_on(monkeypatch):
    monkeypatch.setattr(fitting, "PULSE", 1e-9)
    specs = [member(0, **GIVEN, early_stopping=EarlyStoppingSpec(1)), member(1, **GIVEN)]
    straight = fitted(specs)
    end = straight.last.members[0].epoch
    state = None
    for pulse in fit(specs, Data(target("multiclass", 3), TRAIN, VALIDATION)):
        if pulse.epoch > end and pulse.step % 4 == 2:
            state = pulse.snapshot()
            break
    resumed = fitted(specs, state=state)
    assert [resumed.trained.sha256(k) for k in (0, 1)] == [straight.trained.sha256(k) for k in (0, 1)]
    assert resumed.last.members == straight.last.members


def test_members_may_have_numbers_of_epochs_of_their_own():
    specs = [member(index, epochs=epochs) for index, epochs in enumerate((3, 1, 5))]
    found = fitted(specs)
    assert [(each.status, each.epoch) for each in found.last.members] == [
        ("succeeded", 3),
        ("succeeded", 1),
        ("succeeded", 5),
    ]
    for k, spec in enumerate(specs):
        assert found.trained.sha256(k) == fitted([alone(spec)]).trained.sha256(0)


def test_nobody_stops_without_being_asked_to():
    found = fitted(members(2, **GIVEN))
    assert [each.epoch for each in found.last.members] == [40, 40]
