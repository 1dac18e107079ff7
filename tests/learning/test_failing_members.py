import pytest
import torch

from learning import schedule
from tests.learning.trials import alone, examples, members, run


def specs(*rates: float, **given):
    return [
        spec
        for index, rate in enumerate(rates)
        for spec in members(index + 1, task="regression", learning_rate=rate, optimizer="sgd", **given)[index:]
    ]


@pytest.mark.parametrize("size", [128, 2])
def test_a_diverging_member_fails_and_disturbs_no_other(size, monkeypatch):
    monkeypatch.setattr(schedule, "MOST_MEMBERS", size)
    train, validation = examples("regression", 100, 4, 2), examples("regression", 50, 4, 2, seed=1)
    chosen = specs(0.01, 1e20, 0.02, 1e20, 0.03, epochs=4)
    found = run(chosen, "regression", 2, train, validation)
    assert [each.status for each in found.last.members] == ["succeeded", "failed", "succeeded", "failed", "succeeded"]
    assert [each.error for each in found.last.members] == [None, "non_finite_loss", None, "non_finite_loss", None]
    for k in (0, 2, 4):
        assert found.everything(k) == run([alone(chosen[k])], "regression", 2, train, validation).everything(0)


def test_a_failed_member_keeps_finite_weights_and_tells_nothing_more():
    train, validation = examples("regression", 100, 4, 2), examples("regression", 50, 4, 2, seed=1)
    found = run(specs(0.01, 1e20, epochs=3), "regression", 2, train, validation)
    assert all(tensor[1].isfinite().all() for tensor in found.trained.stacks[0].tensors().values())
    told = found.told(1, "loss")
    assert not torch.tensor(told[0]).isfinite()
    assert torch.tensor(told[1:]).isnan().all()
    assert found.last.members[1].best is None
    assert not found.state.tensors["0.weights"][1].any(), "it rests, and infinite numbers slow nobody down"


def test_a_member_whose_last_step_was_its_undoing_fails_too():
    """Its losses were finite, its weights are not: nothing could be predicted with them."""
    train = examples("regression", 100, 4, 2)
    found = run(specs(0.01, 1e39, epochs=1, batch_size=100), "regression", 2, train)
    assert torch.tensor(found.told(1, "loss", "train")).isfinite().all()
    assert [each.status for each in found.last.members] == ["succeeded", "failed"]
    assert all(tensor[1].isfinite().all() for tensor in found.trained.stacks[0].tensors().values())


def test_a_run_ends_when_all_its_members_have_failed():
    train = examples("regression", 100, 4, 2)
    found = run(specs(1e20, 1e25, epochs=50), "regression", 2, train)
    assert found.last.finished
    assert found.last.epoch < 5
    assert found.last.fraction == 1.0
    assert [each.status for each in found.last.members] == ["failed", "failed"]


def test_a_member_that_fails_late_keeps_its_best_epoch():
    train, validation = examples("regression", 200, 4, 2), examples("regression", 50, 4, 2, seed=1)
    chosen = specs(5.0, epochs=200, batch_size=200, layers=())
    found = run(chosen, "regression", 2, train, validation)
    (last,) = found.last.members
    assert last.status == "failed"
    assert last.best == {"epoch": 1, "metric": "validation.loss", "value": min(found.told(0, "loss")[:-1])}
    assert found.last.epoch > 5
    first = run(specs(5.0, epochs=1, batch_size=200, layers=()), "regression", 2, train, validation)
    assert found.trained.sha256(0) == first.trained.sha256(0)


def test_a_failed_member_stays_failed_when_the_run_is_resumed():
    train = examples("regression", 100, 4, 2)
    first = run(specs(0.01, 1e20, epochs=2), "regression", 2, train)
    resumed = run(specs(0.01, 1e20, epochs=4), "regression", 2, train, state=first.state)
    straight = run(specs(0.01, 1e20, epochs=4), "regression", 2, train)
    assert [each.status for each in resumed.last.members] == ["succeeded", "failed"]
    assert [resumed.trained.sha256(k) for k in (0, 1)] == [straight.trained.sha256(k) for k in (0, 1)]
