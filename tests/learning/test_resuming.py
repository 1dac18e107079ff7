import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learning import fitting, schedule
from learning.examples import Data
from learning.fitting import State, fit
from learning.specs import SCHEDULES, ScheduleSpec
from tests.learning.drawing import population
from tests.learning.trials import drive, examples, members, run, target


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_run_interrupted_anywhere_ends_as_if_it_had_not_been(data):
    specs, own = population(data)
    straight = drive(specs, own)

    reports, state = [], None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "PULSE", data.draw(st.sampled_from([1e-9, 200.0, 1e9])))
        patch.setattr(schedule, "PAYING", data.draw(st.sampled_from([1e-3, 60.0])))
        finished = False
        while not finished:
            pulses = data.draw(st.integers(2, 60), label="pulses until the next interruption")  # the first stands still
            driver = fit(specs, own, state=state, threads=data.draw(st.integers(1, 2)))
            for pulse in driver:
                reports += pulse.epochs
                finished = pulse.finished
                pulses -= 1
                if finished or not pulses:
                    break
            state = _through_a_file(pulse.snapshot())
            trained = pulse.trained()
            driver.close()

    assert [trained.sha256(k) for k in range(len(specs))] == [straight.trained.sha256(k) for k in range(len(specs))]
    assert [(each.epoch, each.steps.tolist()) for each in reports] == [
        (each.epoch, each.steps.tolist()) for each in straight.reports
    ]
    for found, expected in zip(reports, straight.reports, strict=True):
        assert found.values.keys() == expected.values.keys()
        for name, values in expected.values.items():  # as bytes: of who has ended there is nothing, and that is NaN
            assert found.values[name].numpy().tobytes() == values.numpy().tobytes()
    assert all(torch.equal(state.tensors[name], tensor) for name, tensor in straight.state.tensors.items())


def _through_a_file(state: State) -> State:
    return State(
        {name: tensor.clone() for name, tensor in state.tensors.items()}, json.loads(json.dumps(state.counters))
    )


def test_a_snapshot_can_be_taken_in_the_middle_of_an_epoch_with_its_sums(monkeypatch):
    monkeypatch.setattr(fitting, "PULSE", 1e-9)
    train = examples("multiclass", 100, 4, 3)
    driver = fit(members(1, batch_size=10), Data(target("multiclass", 3), train))
    state = [next(driver) for _ in range(4)][-1].snapshot()
    assert state.counters == {"epoch": 0, "0.step": 4}
    assert state.tensors["0.loss_sum"].item() > 0


def test_sums_are_the_same_however_steps_are_grouped(monkeypatch):
    train = examples("multiclass", 1000, 4, 3, dtype=torch.float64)  # of float32 numbers such sums would be exact

    def sums(pulse_length: float) -> dict[int, bytes]:
        monkeypatch.setattr(fitting, "PULSE", pulse_length)
        driver = fit(members(4, batch_size=5, epochs=1), Data(target("multiclass", 3), train))
        return {pulse.step: pulse.snapshot().tensors["0.loss_sum"].numpy().tobytes() for pulse in driver}

    one_by_one, some_at_once = sums(1e-9), sums(600.0)
    assert len(one_by_one) == 200
    assert 5 < len(some_at_once) < 100
    assert some_at_once.items() <= one_by_one.items()


def test_a_snapshot_stands_still_while_training_goes_on():
    train = examples("multiclass", 100, 4, 3)
    driver = fit(members(1), Data(target("multiclass", 3), train))
    pulse = next(driver)
    state = pulse.snapshot()
    before = {name: tensor.clone() for name, tensor in state.tensors.items()}
    kept = pulse.trained()
    hashed = kept.sha256(0)
    list(driver)
    assert all(torch.equal(state.tensors[name], tensor) for name, tensor in before.items())
    assert kept.sha256(0) == hashed


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_twice_the_epochs_straight_equal_the_first_half_extended(data):
    """Of schedules that do not depend on the total, and without patience, which an extension counts anew."""
    specs, own = population(data)
    courses = st.sampled_from(["constant", "step", "exponential", "plateau"])
    schedules = [ScheduleSpec(name, **SCHEDULES[name]) for name in (data.draw(courses) for _ in specs)]
    half = [
        replace(spec, epochs=2, schedule=schedule, early_stopping=None)
        for spec, schedule in zip(specs, schedules, strict=True)
    ]
    whole = [replace(spec, epochs=4) for spec in half]
    first = drive(half, own)
    extended, straight = drive(whole, own, state=first.state), drive(whole, own)
    for k in range(len(specs)):
        assert extended.trained.sha256(k) == straight.trained.sha256(k)
    assert extended.last.members == straight.last.members
    for found, expected in zip(first.reports + extended.reports, straight.reports, strict=True):
        for name, values in expected.values.items():
            assert found.values[name].numpy().tobytes() == values.numpy().tobytes()


def test_a_finished_state_is_told_finished_at_once():
    train = examples("multiclass", 50, 4, 3)
    done = run(members(2), "multiclass", 3, train)
    (pulse,) = fit(members(2), Data(target("multiclass", 3), train), state=done.state)
    assert pulse.finished
    assert pulse.epochs == ()
    assert pulse.fraction == 1.0
    assert pulse.trained().sha256(1) == done.trained.sha256(1)


def test_a_run_on_other_tensors_leaves_the_given_state_alone():
    train = examples("multiclass", 50, 4, 3)
    done = run(members(2, epochs=1), "multiclass", 3, train)
    before = done.state.tensors["0.weights"].clone()
    run(members(2, epochs=3), "multiclass", 3, train, state=done.state)
    assert torch.equal(done.state.tensors["0.weights"], before)
