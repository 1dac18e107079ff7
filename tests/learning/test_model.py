from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from learning.columns import CategoricalColumn, NumericColumn, take
from learning.errors import UnusableColumn
from learning.model import MeanModel, Model, Prediction, mean_prediction
from learning.preprocessing import Preprocessing
from learning.specs import LayerSpec, NetworkSpec
from learning.targets import Target

ROWS = 300
NAN = float("nan")


def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def raw():
    """Numbers, some missing; a category, some missing; a boolean; and a target of each kind."""
    x = random(ROWS, seed=1) * 40 + 7
    x[::17] = NAN
    return {
        "x": NumericColumn(x),
        "colour": CategoricalColumn(torch.arange(ROWS) % 4 - 1, ("blue", "green", "red")),
        "old": CategoricalColumn(torch.arange(ROWS) % 2, (False, True)),
        "price": NumericColumn(random(ROWS, seed=2) * 1000 + 5000),
        "weight": NumericColumn(random(ROWS, seed=3)),
        "sold": CategoricalColumn(torch.arange(ROWS) % 2, (False, True)),
        "stars": NumericColumn((torch.arange(ROWS) % 5 + 1).double()),
    }


def model(names, task, layers=((20, "relu"), (7, "tanh")), seed=0):
    table = raw()
    rows = torch.arange(ROWS)
    preprocessing = Preprocessing.fit(table, ["x", "colour", "old"], rows, "standard")
    target = Target.fit(table, names, task, rows)
    widths = [preprocessing.width, *(units for units, _ in layers), target.width]
    tensors = {}
    for index, (ins, outs) in enumerate(pairwise(widths)):
        tensors[f"layers.{index}.weight"] = random(ins, outs, seed=seed + index).float()
        tensors[f"layers.{index}.bias"] = random(outs, seed=seed - index).float()
    network = NetworkSpec(tuple(LayerSpec(units, activation) for units, activation in layers))
    return Model(preprocessing, target, network, tensors)


def test_the_outputs_are_those_of_the_same_network_in_torch():
    one = model("price", "regression")
    ours = one.predict(raw())
    theirs = nn.Sequential(nn.Linear(8, 20), nn.ReLU(), nn.Linear(20, 7), nn.Tanh(), nn.Linear(7, 1)).double()
    for index, layer in enumerate(part for part in theirs if isinstance(part, nn.Linear)):
        layer.weight.data = one.tensors[f"layers.{index}.weight"].t().double()
        layer.bias.data = one.tensors[f"layers.{index}.bias"].double()
    expected = theirs(one.preprocessing.encode(raw()).double()).detach()
    assert torch.allclose(ours.outputs.double(), expected, atol=1e-4)
    scale, shift = one.target.scale[0], one.target.shift[0]
    assert torch.allclose(ours.values(), expected * scale + shift, atol=1e-4 * scale)


def test_one_number_is_answered_as_a_number_and_a_list_of_targets_as_arrays():
    table = {name: take(column, slice(0, 3)) for name, column in raw().items()}
    single = model("price", "regression").predict(table).predictions()
    assert [type(value) for value in single] == [float] * 3
    assert [[type(value) for value in row] for row in model(["price"], "regression").predict(table).predictions()] == [
        [float]
    ] * 3
    assert [len(row) for row in model(["price", "weight"], "regression").predict(table).predictions()] == [2] * 3


@pytest.mark.parametrize(
    ("target", "task", "kind"),
    [("sold", "binary", bool), ("colour", "multiclass", str), ("stars", "multiclass", int)],
)
def test_labels_keep_the_json_type_of_their_column_and_go_with_the_probabilities(target, task, kind):
    prediction = model(target, task).predict(raw())
    labels, probabilities = prediction.labels(), prediction.probabilities()
    assert {type(label) for label in labels} == {kind}
    assert len(set(labels)) > 1
    assert prediction.predictions() == labels
    assert probabilities.shape == (ROWS, len(prediction.target.classes))
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(ROWS, dtype=torch.float64), atol=1e-12)
    assert [prediction.target.classes[index] for index in probabilities.argmax(dim=1).tolist()] == labels


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=200),
    st.sampled_from([("price", "regression"), ("sold", "binary"), ("stars", "multiclass")]),
    st.sampled_from([(), ((1, "relu"),), ((20, "sigmoid"), (333, "tanh")), ((7, "relu"), (3, "identity"))]),
)
def test_a_rows_answer_is_the_same_bytes_in_any_company(rows, question, layers):
    one, table = model(*question, layers), raw()
    everything = one.predict(table)
    some = one.predict({name: take(column, torch.tensor(rows)) for name, column in table.items()})
    assert some.outputs.numpy().tobytes() == everything.outputs[rows].numpy().tobytes()
    expected = everything.predictions()
    assert some.predictions() == [expected[row] for row in rows]
    if question[1] != "regression":
        assert some.probabilities().numpy().tobytes() == everything.probabilities()[rows].numpy().tobytes()


def test_the_number_of_threads_changes_no_answer():
    one, threads, found = model("stars", "multiclass", ((333, "tanh"),)), torch.get_num_threads(), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        found.append(one.predict(raw()).probabilities())
    torch.set_num_threads(threads)
    assert found[0].equal(found[1])
    assert found[0].equal(found[2])


def test_columns_that_are_no_feature_are_of_no_account():
    one, table = model("sold", "binary"), raw()
    bare = {name: table[name] for name in ("x", "colour", "old")}
    assert one.predict(bare).outputs.equal(one.predict(table).outputs)


def test_a_feature_that_is_not_sent_is_refused_by_name():
    table = raw()
    del table["colour"]
    with pytest.raises(UnusableColumn) as refusal:
        model("sold", "binary").predict(table)
    assert refusal.value.column == "colour"


def test_inputs_name_every_feature_in_order_with_its_type():
    assert model("sold", "binary").inputs == [
        {"name": "x", "type": "numeric"},
        {"name": "colour", "type": "categorical", "categories": ["blue", "green", "red"]},
        {"name": "old", "type": "boolean"},
    ]


LABELS = Target("multilabel", ("a", "b"), True, None, (), ())
COUNTS = Target("regression", ("y",), False, None, (0.0,), (1.0,), "log")
NUMBERS = Target("regression", ("y",), False, None, (0.0,), (1.0,))


@pytest.mark.parametrize("size", [0.5, 20.0, 36.0, 40.0, 100.0, 700.0])
def test_the_mean_of_networks_that_say_the_same_is_as_sure_as_they_are(size):
    said = Prediction(LABELS, torch.tensor([[size, -size]], dtype=torch.float64))
    torch.testing.assert_close(mean_prediction([said, said]).outputs, said.outputs)


def test_a_mean_of_counts_is_never_below_zero_whatever_other_losses_say():
    parts = [Prediction(COUNTS, torch.tensor([[-3.0], [1.0]])), Prediction(NUMBERS, torch.tensor([[-1.0], [2.0]]))]
    found = mean_prediction(parts)
    assert bool(found.outputs.isfinite().all())
    assert found.values().squeeze(1).tolist() == pytest.approx([0.0, (torch.e + 2.0) / 2])


def test_networks_of_one_preprocessing_have_rows_encoded_once_and_answer_with_their_mean(monkeypatch):
    table = {"x": NumericColumn(random(ROWS, seed=1))}
    own, other = (Preprocessing.fit(table, ["x"], rows, "standard") for rows in (torch.arange(50), torch.arange(ROWS)))
    parts = tuple(
        Model(
            preprocessing,
            NUMBERS,
            NetworkSpec(),
            {"layers.0.weight": torch.full((1, 1), size), "layers.0.bias": torch.zeros(1)},
        )
        for preprocessing, size in ((own, 1.0), (own, 2.0), (other, 3.0))
    )
    expected = mean_prediction([part.predict(table) for part in parts])
    encode, encoded = Preprocessing.encode, []
    monkeypatch.setattr(Preprocessing, "encode", lambda self, *given: encoded.append(self) or encode(self, *given))
    assert bool(MeanModel(parts).predict(table).outputs.equal(expected.outputs))
    assert encoded == [own, other]
