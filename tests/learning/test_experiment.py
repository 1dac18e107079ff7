import copy

import pytest
import torch

from learning.apportionment import split_counts
from learning.columns import CategoricalColumn, NumericColumn, take
from learning.errors import UnusableColumn, UnusableSplit
from learning.experiment import prepare
from learning.fitting import fit
from learning.metrics import measure
from learning.model import Model
from learning.weights import slice_member

ROWS = 90
NAN = float("nan")
SPEC = {
    "target": "kind",
    "features": ["x", "colour"],
    "task": "multiclass",
    "validation": {"fraction": 0.2},
    "test": {"fraction": 0.1},
    "split_seed": 3,
    "scaling": "standard",
    "loss": "cross_entropy",
    "network": {"layers": [{"units": 4, "activation": "relu"}]},
    "optimizer": {"name": "adam", "learning_rate": 1e-3, "betas": [0.9, 0.999]},
    "epochs": 2,
    "batch_size": 8,
    "initialization": "he",
    "seed": 0,
    "sweep": {"seed": [0, 1], "optimizer.learning_rate": [0.1, 0.01]},
}


def test_classes_that_no_train_row_has_are_told_of():
    codes = torch.tensor([0] * 20 + [1] * 20 + [2])
    columns = {"x": NumericColumn(torch.arange(41.0).double()), "kind": CategoricalColumn(codes, ("a", "b", "lone"))}
    spec = {**SPEC, "features": ["x"], "test": {"fraction": 0.0}, "validation": {"fraction": 0.5}}
    told = []
    for seed in range(8):
        found = prepare({**spec, "split_seed": seed}, columns)
        is_shown = bool((found.folds[0].train.targets == 2).any())
        codes_told = [each["message"] for each in found.warnings if each["code"] == "class_without_train_rows"]
        assert bool(codes_told) != is_shown
        told += codes_told
    assert set(told) == {"Column 'kind' has classes of which no row is in the train rows: lone."}


def table():
    x = torch.arange(ROWS, dtype=torch.float64)
    y = x * 3 + 1
    y[5] = NAN
    kinds = torch.arange(ROWS) % 3
    kinds[[7, 70]] = -1
    return {
        "x": NumericColumn(x),
        "colour": CategoricalColumn(torch.arange(ROWS) % 2, ("blue", "red")),
        "kind": CategoricalColumn(kinds, ("setosa", "versicolor", "virginica")),
        "y": NumericColumn(y),
        "z": NumericColumn(-y.roll(1)),
    }


def only(found):
    """The fold that there is where there are none."""
    (fold,) = found.folds
    return fold


def spec(**changes):
    return copy.deepcopy(SPEC) | changes


def test_one_spec_and_one_table_become_all_that_training_needs():
    found = prepare(SPEC, table())
    assert [member.seed for member in found.members] == [0, 1, 0, 1]
    assert only(found).target.classes == ("setosa", "versicolor", "virginica")
    assert only(found).preprocessing.features == ("x", "colour")
    assert only(found).train.inputs.shape == (61, 4)
    assert only(found).train.targets.shape == (61,)
    assert (only(found).validation.rows, only(found).test.rows) == (18, 9)
    assert found.rows == {"train": 61, "validation": 18, "test": 9, "dropped": 2}


def test_rows_without_a_target_are_in_no_split_and_the_others_keep_their_place():
    found = prepare(SPEC, table())
    rows = torch.cat(only(found).rows).sort().values.tolist()
    assert rows == [row for row in range(ROWS) if row not in (7, 70)]
    assert [warning["code"] for warning in found.warnings] == ["missing_target"]
    assert "2" in found.warnings[0]["message"]


def test_a_row_is_dropped_if_any_of_its_targets_is_missing():
    found = prepare(spec(target=["y", "z"], task="regression", loss="squared_error"), table())
    assert found.rows["dropped"] == 2
    assert {5, 6}.isdisjoint(torch.cat(only(found).rows).tolist())
    assert only(found).train.targets.shape[1] == 2


def test_a_split_holds_the_encoded_rows_it_names():
    found, columns = prepare(SPEC, table()), table()
    for part, examples in zip(
        only(found).rows, (only(found).train, only(found).validation, only(found).test), strict=True
    ):
        chosen = {name: take(column, part) for name, column in columns.items()}
        assert examples.inputs.equal(only(found).preprocessing.encode(chosen))
        assert examples.targets.tolist() == columns["kind"].codes[part].tolist()


def test_what_is_fitted_has_seen_no_row_but_the_train_rows():
    whole = prepare(spec(target="y", task="regression", loss="squared_error"), table())
    changed = table()
    elsewhere = torch.cat([only(whole).rows.validation, only(whole).rows.test])
    changed["x"].values[elsewhere] = 1e6
    changed["y"].values[elsewhere] = -1e6
    again = prepare(spec(target="y", task="regression", loss="squared_error"), changed)
    assert only(again).preprocessing == only(whole).preprocessing
    assert only(again).target == only(whole).target
    assert only(again).train.inputs.equal(only(whole).train.inputs)


def test_classes_are_stratified():
    found = prepare(SPEC, table())
    assert torch.bincount(only(found).test.targets).tolist() == [3, 3, 3]
    assert torch.bincount(only(found).validation.targets).tolist() == [6, 6, 6]


@pytest.mark.parametrize("validation", [None, {"fraction": 0.0}])
def test_without_validation_or_test_there_are_no_examples_of_either(validation):
    found = prepare(spec(validation=validation, test={"fraction": 0.0}), table())
    assert only(found).validation is None
    assert only(found).test is None
    assert only(found).train.rows == ROWS - 2


def test_the_counts_are_those_that_a_dry_run_promises():
    found = prepare(SPEC, table())
    assert tuple(map(len, only(found).rows)) == split_counts(ROWS - 2, validation=0.2, test=0.1)


def test_neither_the_members_nor_the_features_change_the_split():
    whole = prepare(SPEC, table())
    other = prepare(spec(sweep={}, seed=99, features=["colour"], epochs=7), table())
    assert all(one.equal(another) for one, another in zip(only(whole).rows, only(other).rows, strict=True))


@pytest.mark.parametrize("name", ["story", "kind "])
def test_a_target_or_feature_that_cannot_be_used_is_refused_by_name(name):
    for change in ({"target": name}, {"features": ["x", name]}):
        with pytest.raises(UnusableColumn) as refusal:
            prepare(spec(**change), table())
        assert refusal.value.column == name


def test_a_split_that_would_be_too_small_is_refused():
    short = {name: take(column, slice(0, 4)) for name, column in table().items()}
    with pytest.raises(UnusableSplit) as refusal:
        prepare(SPEC, short)
    assert refusal.value.split == "test"


@pytest.mark.parametrize(
    ("target", "task", "loss"), [("kind", "multiclass", "cross_entropy"), ("y", "regression", "squared_error")]
)
def test_the_kept_model_measures_to_the_bit_what_was_told_of_its_best_epoch(target, task, loss):
    found = prepare(spec(target=target, task=task, loss=loss, epochs=6), table())
    told = {}
    for pulse in fit(found.members, found.data):
        told |= {report.epoch: report.values for report in pulse.epochs}
    trained, columns = pulse.trained(), table()
    rows = {name: take(column, only(found).rows.validation) for name, column in columns.items()}
    for progress, member in zip(pulse.members, found.members, strict=True):
        tensors = slice_member(trained.stacks[0].tensors(), member.index)
        model = Model(only(found).preprocessing, only(found).target, member.network, tensors)
        measured = measure(only(found).target, loss, model.predict(rows).outputs, only(found).validation.targets)
        values = told[progress.best["epoch"]]
        for name in ("loss", "accuracy") if task == "multiclass" else ("loss", "rmse", "mae", "r2"):
            expected = values["validation", name][member.index]
            assert torch.tensor(measured[name], dtype=torch.float64).float().equal(expected)
