import threading
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from learning.layout import Layout
from learning.losses import example_losses, mean_loss
from learning.metrics import per_epoch
from learning.network import Predictor, predict_blocks
from learning.specs import NetworkSpec
from learning.weights import slice_member, tensors_of
from tests.learning.drawing import EMBEDDINGS, LAYERS, population
from tests.learning.trials import drive, examples, members, network, run

WIDTHS = st.sampled_from([1, 3, 7, 16, 20, 33, 64])


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_rows_outputs_are_the_same_bytes_alone_and_among_a_thousand(data):
    spec = NetworkSpec(tuple(data.draw(st.lists(LAYERS, max_size=3))))
    tables = data.draw(st.lists(EMBEDDINGS, max_size=2))
    inputs, outputs = data.draw(WIDTHS), data.draw(WIDTHS)
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    layout = Layout.of(spec, inputs + len(tables), outputs, tables)
    stacked = tensors_of(layout, torch.randn(1, layout.stride) / 3)
    tensors = {name: (each.abs() if name.endswith("var") else each)[0] for name, each in stacked.items()}
    codes = [torch.randint(each.categories, (1000, 1)).float() for each in tables]
    rows = torch.cat([torch.randn(1000, inputs), *codes], 1)
    predictor = Predictor(spec, tensors)
    together = predictor(rows)
    assert together.shape == (1000, outputs)
    order = torch.randperm(1000)
    assert torch.equal(predictor(rows[order]), together[order])
    few = order[: data.draw(st.integers(1, 200))]
    assert torch.equal(predictor(rows[few]), together[few])
    one = int(few[0])
    assert torch.equal(predict_blocks(spec, tensors, rows[one : one + 1])[0], together[one])


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_is_told_of_the_validation_rows_is_that_of_their_predictions_to_the_bit(data):
    specs, own = population(data)
    assume(own[0].validation is not None)
    specs = [replace(spec, epochs=1) for spec in specs]
    found = drive(specs, own)
    k = data.draw(st.integers(0, len(specs) - 1))
    spec, validation = specs[k], own[k].validation
    if found.last.members[k].status == "failed":
        return
    outputs = predict_blocks(spec.network, found.trained.tensors(k), validation.inputs)
    losses = example_losses(spec.loss, outputs, validation.targets, spec.label_smoothing)
    assert mean_loss(losses, validation.weights).float().item() == found.told(k, "loss")[0]
    for name, value in per_epoch(own[k].target, outputs.unsqueeze(0), validation.targets).items():
        assert value.tolist() == [found.told(k, name)[0]]


def test_a_population_of_trained_members_predicts_as_each_alone():
    train, validation = examples("multiclass", 100, 9, 3), examples("multiclass", 100, 9, 3, seed=1)
    found = run(members(4, layers=(20,), epochs=1), "multiclass", 3, train, validation)
    for k in range(4):
        outputs = predict_blocks(network(20), slice_member(found.trained.stacks[0].tensors(), k), validation.inputs)
        hits = (outputs.argmax(1) == validation.targets).double().mean().float().item()
        assert hits == found.told(k, "accuracy")[0]


@pytest.mark.parametrize("inputs", [9, 1500])
def test_outputs_do_not_depend_on_torchs_number_of_threads(inputs):
    torch.manual_seed(0)
    tensors = {"layers.0.weight": torch.randn(inputs, 5), "layers.0.bias": torch.randn(5)}
    predictor, rows = Predictor(network(), tensors), torch.randn(300, inputs)
    expected = predictor(rows)
    torch.testing.assert_close(
        expected, rows @ tensors["layers.0.weight"] + tensors["layers.0.bias"], rtol=1e-4, atol=1e-3
    )
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            assert torch.equal(predictor(rows), expected)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_several_threads_may_ask_one_predictor_at_a_time():
    torch.manual_seed(0)
    tensors = {
        "layers.0.weight": torch.randn(9, 33),
        "layers.0.bias": torch.randn(33),
        "layers.1.weight": torch.randn(33, 5),
        "layers.1.bias": torch.randn(5),
    }
    predictor, rows = Predictor(network((33, "tanh")), tensors), torch.randn(500, 9)
    expected = predictor(rows)
    wrong = []

    def ask() -> None:
        wrong.extend(n for n in range(1, 60) if not torch.equal(predictor(rows[:n]), expected[:n]))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert wrong == []


def test_no_rows_have_no_outputs():
    tensors = {"layers.0.weight": torch.randn(9, 5), "layers.0.bias": torch.randn(5)}
    assert predict_blocks(network(), tensors, torch.empty(0, 9)).shape == (0, 5)
