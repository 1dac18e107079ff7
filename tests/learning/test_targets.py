import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax

from learning.columns import CategoricalColumn, NumericColumn
from learning.errors import UnusableColumn
from learning.targets import Target, rows_with_target

NAN = float("nan")


def numeric(*values):
    return NumericColumn(torch.tensor(values, dtype=torch.float64))


def categorical(codes, values):
    return CategoricalColumn(torch.tensor(codes, dtype=torch.int64), tuple(values))


def fit(table, names, task, rows=None):
    count = next(iter(table.values())).rows
    return Target.fit(table, names, task, torch.arange(count) if rows is None else torch.tensor(rows))


def test_rows_without_any_one_target_are_left_out():
    table = {"a": numeric(1.0, NAN, 3.0, 4.0), "b": numeric(1.0, 2.0, NAN, 4.0), "c": categorical([-1, 0, 0, 0], ["x"])}
    assert rows_with_target(table, "a").tolist() == [0, 2, 3]
    assert rows_with_target(table, ["a", "b"]).tolist() == [0, 3]
    assert rows_with_target(table, "c").tolist() == [1, 2, 3]


def test_a_regression_is_scaled_by_its_train_rows():
    table = {"y": numeric(1.0, 3.0, 11.0)}
    target = fit(table, "y", "regression", rows=[0, 1])
    assert (target.shift, target.scale, target.width) == ((2.0,), (1.0,), 1)
    assert target.encode(table).tolist() == [[-1.0], [1.0], [9.0]]


def test_a_constant_regression_target_keeps_a_scale_of_one():
    table = {"y": numeric(5.0, 5.0)}
    assert fit(table, "y", "regression").encode(table).tolist() == [[0.0], [0.0]]


def test_several_targets_stand_in_the_order_given():
    table = {"a": numeric(0.0, 2.0), "b": numeric(10.0, 30.0)}
    target = fit(table, ["b", "a"], "regression")
    assert target.names == ("b", "a")
    assert target.width == 2
    assert target.numbers(torch.tensor([[1.0, -1.0]])).tolist() == [[30.0, 0.0]]


def test_a_binary_target_is_one_for_its_second_class():
    table = {"y": categorical([0, 1, 0], ["yes", "no"])}
    target = fit(table, "y", "binary")
    assert target.classes == ("no", "yes")
    assert target.width == 1
    assert target.encode(table).tolist() == [[1.0], [0.0], [1.0]]


def test_classes_are_the_columns_own_even_if_no_train_row_has_one():
    table = {"y": numeric(3.0, 1.0, 2.0, NAN)}
    target = fit(table, "y", "multiclass", rows=[0, 1])
    assert target.classes == (1, 2, 3)
    assert target.width == 3
    assert target.encode(table, torch.tensor([2, 0])).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("task", "column"),
    [
        ("binary", categorical([0, 1, 2], ["a", "b", "c"])),
        ("binary", categorical([0, 0, -1], ["a", "b"])),
        ("multiclass", numeric(4.0, 4.0, NAN)),
        ("regression", categorical([0, 0, 1], ["a", "b"])),
        ("multilabel", categorical([0, 1, 1], ["a", "b"])),
        ("multilabel", numeric(0.0, 1.0, 1.0)),
    ],
)
def test_a_column_that_does_not_suit_the_task_is_refused_by_name(task, column):
    with pytest.raises(UnusableColumn) as refusal:
        fit({"y": column}, ["y"] if task == "multilabel" else "y", task)
    assert refusal.value.column == "y"


@pytest.mark.parametrize("column", [categorical([0, -1], ["a"]), categorical([0, 1], ["a", "never seen"])])
def test_a_row_without_a_known_class_cannot_be_encoded(column):
    target = fit({"y": categorical([0, 1], ["a", "b"])}, "y", "binary")
    with pytest.raises(UnusableColumn):
        target.encode({"y": column})


def test_probabilities_are_the_sigmoid_and_the_softmax():
    logits = torch.tensor([[0.0], [2.0], [-30.0], [800.0], [-800.0]])
    binary = fit({"y": categorical([0, 1], [False, True])}, "y", "binary").probabilities(logits)
    assert torch.allclose(binary[:, 1], torch.from_numpy(expit(logits[:, 0].double().numpy())), rtol=1e-14, atol=0)
    assert torch.allclose(binary[:, 0], torch.from_numpy(expit(-logits[:, 0].double().numpy())), rtol=1e-14, atol=0)
    logits = torch.tensor([[0.0, 1.0, 2.0], [900.0, -900.0, 899.0]])
    several = fit({"y": numeric(0.0, 1.0, 2.0)}, "y", "multiclass").probabilities(logits)
    assert torch.allclose(several, torch.from_numpy(softmax(logits.double().numpy(), axis=1)), rtol=1e-14, atol=0)


LABELS = {"wet": categorical([1, 0, 1], [False, True]), "cold": categorical([1, 0, 0], [True, False])}


def test_each_label_of_several_is_a_column_of_its_own():
    target = fit(LABELS, ["wet", "cold"], "multilabel")
    assert (target.width, target.classes, target.outcomes) == (2, None, ("wet", "cold"))
    assert target.encode(LABELS).tolist() == [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    assert target.encode(LABELS, torch.tensor([2, 0])).tolist() == [[1.0, 1.0], [1.0, 0.0]]


def test_a_label_is_chosen_where_it_is_likelier_true_than_not():
    target = fit(LABELS, ["wet", "cold"], "multilabel")
    logits = torch.tensor([[0.0, 1e-3], [-3.0, 900.0]])
    assert target.choices(logits).tolist() == [[0, 1], [0, 1]]
    expected = torch.from_numpy(expit(logits.double().numpy()))
    assert torch.allclose(target.probabilities(logits), expected, rtol=1e-14, atol=0)


def test_a_label_that_no_complete_row_tells_apart_is_refused_by_name():
    table = {"wet": categorical([1, 0, 0, 0], [False, True]), "cold": categorical([-1, 1, 0, 1], [False, True])}
    with pytest.raises(UnusableColumn) as refusal:
        fit(table, ["cold", "wet"], "multilabel")
    assert refusal.value.column == "wet"


def test_a_row_that_lacks_a_label_cannot_be_encoded():
    target = fit(LABELS, ["wet", "cold"], "multilabel")
    with pytest.raises(UnusableColumn) as refusal:
        target.encode(LABELS | {"cold": categorical([0, -1, 1], [False, True])})
    assert refusal.value.column == "cold"


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
def test_numbers_undo_the_encoding(values):
    table = {"y": numeric(*values)}
    target = fit(table, "y", "regression")
    decoded = target.numbers(target.encode(table))[:, 0].tolist()
    assert decoded == pytest.approx(values, rel=1e-6, abs=1e-6 * max(map(abs, values), default=0) + 1e-30)


@given(st.lists(st.sampled_from(["b", "a", "é"]), min_size=2).filter(lambda found: len(set(found)) > 1))
def test_an_encoded_class_is_the_place_of_its_label(labels):
    values = ["é", "b", "a"]
    table = {"y": categorical([values.index(label) for label in labels], values)}
    target = fit(table, "y", "multiclass")
    assert [target.classes[code] for code in target.encode(table).tolist()] == labels


@pytest.mark.parametrize(
    ("names", "task", "column"),
    [
        ("y", "regression", numeric(0.1, 0.7, 1e-300)),
        (["y"], "regression", numeric(0.1, 0.7, 3.0)),
        ("y", "binary", categorical([0, 1, 1], [False, True])),
        ("y", "multiclass", numeric(1.0, 2.0, 3.5)),
        (["y"], "multilabel", categorical([0, 1, 1], [False, True])),
    ],
)
def test_json_gives_back_the_same_target(names, task, column):
    target = fit({"y": column}, names, task)
    again = Target.from_json(json.loads(json.dumps(target.to_json())))
    assert again == target
    assert target.to_json()["names"] == names
    assert [type(value) for value in again.classes or ()] == [type(value) for value in target.classes or ()]


def test_counts_are_not_scaled_and_the_outputs_are_their_logarithms():
    table = {"n": NumericColumn(torch.tensor([0.0, 3.0, 7.0], dtype=torch.float64))}
    fitted = Target.fit(table, "n", "regression", torch.arange(3), "log")
    assert fitted.encode(table)[:, 0].tolist() == [0.0, 3.0, 7.0]
    outputs = torch.tensor([[0.0], [2.0], [1e30]])
    assert fitted.numbers(outputs)[:2, 0].tolist() == pytest.approx([1.0, 7.38905609893065])
    assert fitted.numbers(outputs).isfinite().all()
    assert Target.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted


@pytest.mark.parametrize("wrong", [-1.0, 0.5])
def test_what_is_no_count_is_refused_where_counts_are_needed(wrong):
    table = {"n": NumericColumn(torch.tensor([2.0, wrong, 3.0], dtype=torch.float64))}
    with pytest.raises(UnusableColumn, match="no counts"):
        Target.fit(table, "n", "regression", torch.arange(3), "log")
