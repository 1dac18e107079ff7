"""The course of a learning rate beside torch's own, step by step."""

import pytest
import torch

from learning import rates
from learning.initialization import initial_weights
from learning.layout import Layout
from learning.randomness import key, permutations
from learning.specs import ScheduleSpec
from learning.weights import tensors_of
from tests.learning.trials import examples, member, run

EPOCHS, STEPS = 40, 7
schedulers = torch.optim.lr_scheduler


def torchs_own(make, *, every_step: bool) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    told = []
    for _ in range(EPOCHS):
        for _ in range(STEPS):
            told.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if every_step and len(told) < EPOCHS * STEPS:
                scheduler.step()
        if not every_step:
            scheduler.step()
    return told


@pytest.mark.parametrize(
    ("schedule", "make", "every_step"),
    [
        (ScheduleSpec("step", every=6, factor=0.3), lambda o: schedulers.StepLR(o, 6, 0.3), False),
        (ScheduleSpec("exponential", factor=0.9), lambda o: schedulers.ExponentialLR(o, 0.9), False),
        (ScheduleSpec("cosine", floor=0.1), lambda o: schedulers.CosineAnnealingLR(o, EPOCHS, eta_min=0.1), False),
        (
            ScheduleSpec("one_cycle", rise=0.3, start=0.04, end=4e-6),
            lambda o: schedulers.OneCycleLR(o, 1.0, total_steps=EPOCHS * STEPS, cycle_momentum=False),
            True,
        ),
        (
            ScheduleSpec("one_cycle", rise=0.1, start=0.5, end=0.05),
            lambda o: schedulers.OneCycleLR(
                o, 1.0, EPOCHS * STEPS, pct_start=0.1, div_factor=2, final_div_factor=10, cycle_momentum=False
            ),
            True,
        ),
        (
            ScheduleSpec("constant", warmup_epochs=3),
            lambda o: schedulers.LinearLR(o, start_factor=1 / 21, total_iters=20),
            True,
        ),
    ],
)
def test_every_schedule_is_torchs_own(schedule, make, every_step):
    ours = [rates.factor(schedule, EPOCHS, STEPS, step) for step in range(EPOCHS * STEPS)]
    assert ours == pytest.approx(torchs_own(make, every_step=every_step), abs=1e-12)


def test_after_a_warm_up_a_schedule_begins_with_its_first_epoch():
    warmed = [rates.factor(ScheduleSpec("cosine", warmup_epochs=2), 12, 5, step) for step in range(60)]
    assert warmed[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert warmed[10:] == [rates.factor(ScheduleSpec("cosine"), 10, 5, step) for step in range(50)]


@pytest.mark.parametrize(
    ("optimizer", "made"), [("sgd", torch.optim.SGD), ("rmsprop", torch.optim.RMSprop), ("adamw", torch.optim.AdamW)]
)
def test_fifty_steps_along_a_schedule_are_torchs_own(optimizer, made):
    spec = member(
        layers=(),
        task="regression",
        optimizer=optimizer,
        weight_decay=0.1,
        batch_size=10,
        epochs=5,
        schedule=ScheduleSpec("exponential", factor=0.5),
    )
    train = examples("regression", 93, 6, 2, dtype=torch.float64)
    found = run([spec], "regression", 2, train).trained.stacks[0].tensors()["layers.0.weight"][0]
    layout = Layout.of(spec.network, 6, 2)
    weight = tensors_of(layout, initial_weights(layout, [0], "xavier", torch.float64))["layers.0.weight"][0]
    linear = torch.nn.Linear(6, 2, dtype=torch.float64)
    linear.weight.data, linear.bias.data = weight.T.contiguous(), torch.zeros(2, dtype=torch.float64)
    theirs = made(linear.parameters(), lr=spec.optimizer.learning_rate, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(theirs, 0.5)
    for epoch in range(1, 6):
        for rows in permutations([key("order", 0, epoch)], 93)[0].split(10):
            theirs.zero_grad()
            torch.nn.functional.mse_loss(linear(train.inputs[rows]), train.targets[rows]).backward()
            theirs.step()
        scheduler.step()
    torch.testing.assert_close(found, linear.weight.data.T, rtol=0, atol=1e-10)


def test_a_plateau_slows_down_when_torchs_own_does():
    schedule = ScheduleSpec("plateau", patience=2, factor=0.5, threshold=0.01)
    train, validation = examples("multiclass", 40, 6, 3), examples("multiclass", 60, 6, 3, seed=1)
    spec = member(layers=(20,), learning_rate=0.05, batch_size=8, epochs=40, schedule=schedule)
    found = run([spec], "multiclass", 3, train, validation)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = schedulers.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold=0.01, eps=0.0)
    for loss in found.told(0, "loss"):
        theirs.step(loss)
    slowed = found.state.tensors["0.patience.slowed"].item()
    assert slowed == pytest.approx(optimizer.param_groups[0]["lr"])
    assert slowed < 0.1, "this trial is meant to reach several plateaus"
    plain = run([member(layers=(20,), learning_rate=0.05, batch_size=8, epochs=40)], "multiclass", 3, train)
    assert plain.trained.sha256(0) != found.trained.sha256(0)
