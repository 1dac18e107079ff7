import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from torch.nn import functional

from learning.answers import answers_of
from learning.columns import CategoricalColumn, NumericColumn
from learning.metrics import measure, metrics_of, of_numbers, per_epoch
from learning.targets import Target


def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def classes(codes, count):
    return CategoricalColumn(torch.as_tensor(codes), tuple(f"class {index}" for index in range(count)))


def target_for(columns, names, task):
    return Target.fit(columns, names, task, torch.arange(next(iter(columns.values())).rows))


def regression(rows, targets, *, seed):
    columns = {f"y{i}": NumericColumn(random(rows, seed=seed + i).double() * 77.0 + 152.0) for i in range(targets)}
    target = target_for(columns, list(columns), "regression")
    return target, target.encode(columns), torch.stack([column.values for column in columns.values()], dim=1).numpy()


def classification(rows, count, *, seed):
    codes = torch.arange(rows) % count
    columns = {"y": classes(codes[torch.randperm(rows, generator=torch.Generator().manual_seed(seed))], count)}
    target = target_for(columns, "y", "binary" if count == 2 else "multiclass")
    return target, target.encode(columns), columns["y"].codes.numpy()


@pytest.mark.parametrize("targets", [1, 3])
def test_a_regression_is_measured_as_by_scikit_learn(targets):
    target, encoded, truth = regression(257, targets, seed=1)
    outputs = encoded + 0.3 * random(257, targets, seed=2)
    predicted = target.numbers(outputs).numpy()
    found = measure(target, "squared_error", outputs, encoded)
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(truth, predicted), rel=1e-6)
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(truth, predicted), rel=1e-6)
    assert found["r2"] == pytest.approx(reference.r2_score(truth, predicted), abs=1e-6)
    scaled = reference.mean_squared_error(encoded.numpy(), outputs.numpy())
    assert found["loss"] == pytest.approx(scaled, rel=1e-5)
    assert found.keys() == {"loss", "rmse", "mae", "r2"}


def test_r2_of_a_constant_truth_is_as_scikit_learn_has_it():
    target = target_for({"y": NumericColumn(torch.tensor([1.0, 3.0], dtype=torch.float64))}, "y", "regression")
    constant = torch.ones(4, 1)
    assert measure(target, "squared_error", constant, constant)["r2"] == 1.0
    assert measure(target, "squared_error", constant + 1, constant)["r2"] == 0.0
    assert reference.r2_score([3.0] * 4, [5.0] * 4) == 0.0


def test_r2_of_a_single_row_has_no_key():
    target = target_for({"y": NumericColumn(torch.tensor([1.0, 3.0], dtype=torch.float64))}, "y", "regression")
    assert measure(target, "squared_error", torch.zeros(1, 1), torch.ones(1, 1)).keys() == {"loss", "rmse", "mae"}


@pytest.mark.parametrize("spread", [1.0, 20.0])
def test_two_classes_are_measured_as_by_scikit_learn(spread):
    target, encoded, truth = classification(301, 2, seed=3)
    outputs = (random(301, 1, seed=4) + (encoded - 0.5)) * spread
    outputs = (outputs * 4).round() / 4  # ties, for the area under the curve
    probabilities = target.probabilities(outputs).numpy()
    labels = target.choices(outputs).numpy()
    found = measure(target, "binary_cross_entropy", outputs, encoded)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, labels), abs=1e-6)
    assert found["auc"] == pytest.approx(reference.roc_auc_score(truth, probabilities[:, 1]), abs=1e-6)
    assert found["log_loss"] == pytest.approx(reference.log_loss(truth, probabilities), rel=1e-6)
    assert found["f1"] == pytest.approx(reference.f1_score(truth, labels), abs=1e-6)
    expected = functional.binary_cross_entropy_with_logits(outputs.double(), encoded.double())
    assert found["loss"] == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("spread", [1.0, 20.0])
def test_several_classes_are_measured_as_by_scikit_learn(spread):
    target, encoded, truth = classification(300, 5, seed=5)
    outputs = (random(300, 5, seed=6) + functional.one_hot(encoded, 5)) * spread
    probabilities, labels = target.probabilities(outputs).numpy(), target.choices(outputs).numpy()
    found = measure(target, "cross_entropy", outputs, encoded)
    area = reference.roc_auc_score(truth, probabilities, multi_class="ovr", average="macro")
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, labels), abs=1e-6)
    assert found["auc"] == pytest.approx(area, abs=1e-6)
    assert found["log_loss"] == pytest.approx(reference.log_loss(truth, probabilities), rel=1e-6)
    assert found["f1"] == pytest.approx(reference.f1_score(truth, labels, average="macro"), abs=1e-6)
    assert found["loss"] == pytest.approx(functional.cross_entropy(outputs.double(), encoded).item(), rel=1e-6)


def multilabel(rows, labels, *, seed):
    codes = (random(rows, labels, seed=seed) > 0.5).long()
    columns = {f"y{i}": CategoricalColumn(codes[:, i], (False, True)) for i in range(labels)}
    target = target_for(columns, list(columns), "multilabel")
    return target, target.encode(columns), codes.numpy()


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("spread", [1.0, 20.0])
def test_several_labels_are_measured_as_by_scikit_learn(spread, labels):
    target, encoded, truth = multilabel(301, labels, seed=4)
    outputs = (random(301, labels, seed=6) + (encoded - 0.5)) * spread
    outputs = (outputs * 4).round() / 4 + 1e-3  # ties, for the area under the curve
    probabilities, chosen = target.probabilities(outputs).numpy(), target.choices(outputs).numpy()
    found = measure(target, "binary_cross_entropy", outputs, encoded)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, chosen), abs=1e-6)
    assert found["auc"] == pytest.approx(reference.roc_auc_score(truth, probabilities, average="macro"), abs=1e-6)
    each = [reference.log_loss(truth[:, i], probabilities[:, i]) for i in range(labels)]
    assert found["log_loss"] == pytest.approx(np.mean(each), rel=1e-6)
    f1 = reference.f1_score(truth, chosen, average="macro" if labels > 1 else "binary")
    assert found["f1"] == pytest.approx(f1, abs=1e-6)
    expected = functional.binary_cross_entropy_with_logits(outputs.double(), encoded.double())
    assert found["loss"] == pytest.approx(expected.item(), rel=1e-6)
    told = per_epoch(target, outputs.unsqueeze(0), encoded)
    assert {name: value.item() for name, value in told.items()} == {"accuracy": np.float32(found["accuracy"]).item()}


def test_a_label_without_both_answers_has_no_area_and_one_without_a_positive_no_f1():
    target, encoded, truth = multilabel(60, 2, seed=4)
    outputs = random(60, 2, seed=1)
    outputs[:, 1] = -1.0
    encoded[:, 1] = 0.0
    found = measure(target, "binary_cross_entropy", outputs, encoded)
    assert "auc" not in found
    first = reference.f1_score(truth[:, 0], (outputs[:, 0] > 0).numpy())
    assert found["f1"] == pytest.approx(first / 2, abs=1e-6)


def test_smoothing_is_of_the_loss_and_of_nothing_else():
    target, encoded, _ = classification(300, 5, seed=5)
    outputs = random(300, 5, seed=6)
    plain, smoothed = (measure(target, "cross_entropy", outputs, encoded, smoothing=each) for each in (0.0, 0.2))
    expected = functional.cross_entropy(outputs.double(), encoded, label_smoothing=0.2).item()
    assert smoothed.pop("loss") == pytest.approx(expected, rel=1e-6)
    assert plain.pop("loss") == pytest.approx(functional.cross_entropy(outputs.double(), encoded).item(), rel=1e-6)
    assert smoothed == plain


@pytest.mark.parametrize("count", [1, 2, 5, -3])
def test_answers_are_measured_as_the_outputs_that_they_come_from(count):
    if count == 1:
        target, encoded, _ = regression(90, 2, seed=2)
    else:
        target, encoded, _ = multilabel(90, 3, seed=2) if count < 0 else classification(90, count, seed=2)
    outputs = random(90, target.width, seed=3)
    loss = {1: "squared_error", 5: "cross_entropy"}.get(count, "binary_cross_entropy")
    expected = measure(target, loss, outputs, encoded)
    expected.pop("loss")
    assert metrics_of(target, answers_of(target, outputs), encoded) == pytest.approx(expected, rel=1e-6)


def test_hopeless_certainty_costs_what_scikit_learn_says():
    target, encoded, truth = classification(40, 2, seed=7)
    outputs = torch.full((40, 1), 500.0)
    probabilities = target.probabilities(outputs).numpy()
    found = measure(target, "binary_cross_entropy", outputs, encoded)
    assert found["log_loss"] == pytest.approx(reference.log_loss(truth, probabilities), rel=1e-6)


def test_the_area_is_left_out_where_a_class_has_no_row():
    target, encoded, _ = classification(40, 2, seed=8)
    alone = torch.ones_like(encoded)
    assert "auc" not in measure(target, "binary_cross_entropy", random(40, 1, seed=9), alone)
    target, encoded, _ = classification(40, 4, seed=8)
    rows = encoded != 2
    assert "auc" not in measure(target, "cross_entropy", random(40, 4, seed=9)[rows], encoded[rows])


def test_f1_counts_classes_that_are_true_or_chosen_and_no_others():
    target, _, _ = classification(40, 4, seed=8)
    truth, chosen = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 3, 1, 0])
    outputs = functional.one_hot(chosen, 4).float()
    expected = reference.f1_score(truth.numpy(), chosen.numpy(), average="macro", zero_division=0.0)
    assert measure(target, "cross_entropy", outputs, truth)["f1"] == pytest.approx(expected, abs=1e-6)


def test_f1_without_a_positive_is_zero():
    target, encoded, _ = classification(10, 2, seed=1)
    assert measure(target, "binary_cross_entropy", -torch.ones(10, 1), torch.zeros_like(encoded))["f1"] == 0.0


@settings(deadline=None)
@given(rows=st.integers(1, 400), members=st.integers(1, 9), seed=st.integers(0, 2**31), kind=st.integers(0, 4))
def test_a_members_metrics_do_not_depend_on_its_company(rows, members, seed, kind):
    count = max(kind, 2)
    if kind == 1:
        target, encoded, _ = regression(rows + 1, 2, seed=seed)
        outputs = random(members, rows + 1, 2, seed=seed)
    elif kind == 0:
        target, encoded, _ = multilabel(rows + 40, 2, seed=seed)
        outputs = random(members, rows + 40, 2, seed=seed)
    else:
        target, encoded, _ = classification(rows + count, count, seed=seed)
        outputs = random(members, rows + count, target.width, seed=seed)
    together = per_epoch(target, outputs, encoded)
    for member in range(members):
        alone = per_epoch(target, outputs[member : member + 1].clone(), encoded)
        assert alone.keys() == together.keys()
        assert all(alone[name].equal(together[name][member : member + 1]) for name in alone)


def test_metrics_have_the_same_bits_on_one_thread_and_two():
    target, encoded, _ = regression(100_003, 2, seed=3)
    outputs = random(2, 100_003, 2, seed=4)
    threads, found = torch.get_num_threads(), []
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append((per_epoch(target, outputs, encoded), measure(target, "squared_error", outputs[0], encoded)))
    torch.set_num_threads(threads)
    assert all(found[0][0][name].equal(found[1][0][name]) for name in ("rmse", "mae", "r2"))
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_what_is_told_of_an_epoch_is_what_is_measured_at_the_end(count):
    target, encoded, _ = regression(90, 1, seed=2) if count == 1 else classification(90, count, seed=2)
    outputs = random(90, target.width, seed=3)
    loss = {1: "squared_error", 2: "binary_cross_entropy"}.get(count, "cross_entropy")
    told, measured = per_epoch(target, outputs.unsqueeze(0), encoded), measure(target, loss, outputs, encoded)
    assert told.keys() == ({"rmse", "mae", "r2"} if count == 1 else {"accuracy"})
    assert all(values.dtype == torch.float64 and values.shape == (1,) for values in told.values())
    assert {name: values.item() for name, values in told.items()} == {
        name: np.float32(measured[name]).item() for name in told
    }


def test_a_member_that_diverged_has_metrics_that_are_not_finite_and_harms_no_other():
    target, encoded, _ = regression(20, 1, seed=1)
    outputs = torch.stack([encoded, torch.full_like(encoded, math.nan)])
    told = per_epoch(target, outputs, encoded)
    assert told["rmse"][0] == 0.0
    assert told["rmse"][1].isnan()


@pytest.mark.parametrize("exponent", [-305, -160, 0, 160, 300])
def test_what_is_right_in_every_row_explains_all_in_whatever_unit(exponent):
    truth = torch.tensor([[1.0], [2.0], [5.0]], dtype=torch.float64) * 10.0**exponent
    found = of_numbers(truth, truth)
    assert {name: value.item() for name, value in found.items()} == {"rmse": 0.0, "mae": 0.0, "r2": 1.0}
