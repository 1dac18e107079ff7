import pytest

from learning.specs import SCHEDULES, SWEEP_PATHS, ScheduleSpec, drafts_of, members_of, overridden

SPEC = {
    "network": {"layers": [{"units": 3}]},
    "optimizer": {"name": "adam", "learning_rate": 0.1, "betas": [0.9, 0.999]},
    "schedule": {"name": "step", "warmup_epochs": 2, "every": 5, "factor": 0.5},
    "early_stopping": None,
    "loss": "squared_error",
    "epochs": 10,
    "batch_size": 32,
    "initialization": "xavier",
    "validation": {"fraction": 0.2},
    "seed": 0,
}


def members(**changes):
    return members_of({**SPEC, **changes})


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "step"])
def test_another_schedule_comes_with_its_own_settings_and_the_runs_warmup(name):
    (member,) = members(members=[{"schedule.name": name}])
    assert member.schedule == ScheduleSpec(name=name, warmup_epochs=2, **SCHEDULES[name])
    assert member.overrides == {"schedule.name": name, **{f"schedule.{key}": it for key, it in SCHEDULES[name].items()}}
    assert overridden(SPEC, member.overrides)["schedule"] == {"name": name, "warmup_epochs": 2, **SCHEDULES[name]}


def test_a_member_may_set_what_its_own_schedule_knows():
    (member,) = members(members=[{"schedule.factor": 0.3, "schedule.name": "plateau"}])
    assert member.schedule == ScheduleSpec(name="plateau", warmup_epochs=2, **{**SCHEDULES["plateau"], "factor": 0.3})


def test_the_runs_own_schedule_keeps_its_settings_when_it_is_swept_over():
    same, other = members(sweep={"schedule.name": ["step", "exponential"]})
    assert same.schedule == ScheduleSpec(**SPEC["schedule"])
    assert same.overrides == {"schedule.name": "step"}
    assert other.schedule.factor == SCHEDULES["exponential"]["factor"]


def test_gd_takes_all_rows_whatever_the_others_take():
    gd, adam = members(sweep={"optimizer.name": ["gd", "adam"]})
    assert (gd.batch_size, adam.batch_size) == (None, 32)
    assert gd.overrides == {"optimizer.name": "gd", "batch_size": "full"}
    assert adam.overrides == {"optimizer.name": "adam"}


def test_members_differ_in_all_that_may_be_swept():
    small, large = members(
        members=[
            {"network": {"layers": []}, "batch_size": "full", "loss": "huber"},
            {"network": {"layers": [{"units": 7, "activation": "tanh", "dropout": 0.5, "normalization": "layer"}]}},
        ]
    )
    assert (small.network.layers, small.batch_size, small.loss) == ((), None, "huber")
    (layer,) = large.network.layers
    assert (layer.units, layer.activation, layer.dropout, layer.normalization) == (7, "tanh", 0.5, "layer")


def test_each_setting_is_trained_for_all_its_folds_one_after_another():
    swept = {**SPEC, "sweep": {"seed": [4, 5]}}
    assert drafts_of({**swept, "validation": {"folds": 3}}) == [
        ({"seed": seed}, fold) for seed in (4, 5) for fold in (0, 1, 2)
    ]
    assert drafts_of({**swept, "validation": {"folds": 3, "fold": 1}}) == [({"seed": 4}, 1), ({"seed": 5}, 1)]
    assert drafts_of(swept) == [({"seed": 4}, None), ({"seed": 5}, None)]
    assert drafts_of({**SPEC, "validation": None}) == [({}, None)]


def test_the_paths_that_may_be_swept_are_fields_of_a_spec():
    assert {path.partition(".")[0] for path in SWEEP_PATHS} <= SPEC.keys() | {"class_weights"}
