from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from learning.columns import CategoricalColumn, NumericColumn
from learning.errors import UnusableColumn
from learning.initialization import initial_weights
from learning.layout import Layout
from learning.losses import example_losses
from learning.network import predict_blocks
from learning.randomness import key, permutations
from learning.targets import Target
from learning.weighting import Weighting
from learning.weights import slice_member, tensors_of
from tests.learning.trials import examples, member, members, network, run

F64 = torch.float64
LOSSES = {
    "regression": lambda z, t: (z - t).square().mean(1),
    "binary": lambda z, t: torch.nn.functional.binary_cross_entropy_with_logits(z, t, reduction="none").mean(1),
    "multiclass": lambda z, t: torch.nn.functional.cross_entropy(z, t, reduction="none"),
}
WIDTHS = {"regression": 2, "binary": 1, "multiclass": 4}


def weighted(found, *, seed=5):
    drawn = torch.rand(found.rows, dtype=F64, generator=torch.Generator().manual_seed(seed)) * 3
    return replace(found, weights=drawn * (drawn > 0.5))  # some rows count for nothing


@pytest.mark.parametrize(("rows", "batch_size", "epochs"), [(93, 10, 5), (1100, 600, 25), (93, None, 50)])
@pytest.mark.parametrize("task", sorted(WIDTHS))
def test_fifty_weighted_steps_are_torchs_own(task, rows, batch_size, epochs):
    """Each batch's loss is Σwl / Σw, over all of its blocks; an epoch's is their mean by rows."""
    width = WIDTHS[task]
    train = weighted(examples(task, rows, 6, width, dtype=F64))
    spec = member(layers=(), task=task, batch_size=batch_size, epochs=epochs, learning_rate=0.01)
    found = run([spec], task, width, train)
    assert found.last.step == 50

    linear = torch.nn.Linear(6, width, dtype=F64)
    layout = Layout.of(spec.network, 6, width)
    start = tensors_of(layout, initial_weights(layout, [0], "xavier", F64))
    linear.weight.data = start["layers.0.weight"][0].T.contiguous()
    linear.bias.data = start["layers.0.bias"][0]
    optimizer = torch.optim.Adam(linear.parameters(), lr=0.01)
    told = []
    for epoch in range(1, epochs + 1):
        order, total = permutations([key("order", 0, epoch)], rows)[0], 0.0
        for batch in order.split(batch_size or rows):
            losses, weights = LOSSES[task](linear(train.inputs[batch]), train.targets[batch]), train.weights[batch]
            error = (losses * weights).sum() / weights.sum()
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            total += error.item() * len(batch)
        told.append(total / rows)
    torch.testing.assert_close(found.trained.tensors(0)["layers.0.weight"], linear.weight.data.T, rtol=0, atol=1e-10)
    assert found.told(0, "loss", "train") == pytest.approx(told, rel=1e-6)


def test_the_loss_of_the_validation_is_weighted_and_other_metrics_are_not():
    train, validation = examples("multiclass", 60, 4, 3), weighted(examples("multiclass", 150, 4, 3, seed=1))
    specs = members(3, epochs=1)
    found, plain = (
        run(specs, "multiclass", 3, train, each) for each in (validation, replace(validation, weights=None))
    )
    outputs = predict_blocks(network(8), slice_member(found.trained.stacks[0].tensors(), 1), validation.inputs)
    losses = example_losses("cross_entropy", outputs, validation.targets).double()
    expected = ((losses * validation.weights).sum() / validation.weights.sum()).item()
    assert found.told(1, "loss")[0] == pytest.approx(expected, rel=1e-6)
    assert found.told(1, "loss") != plain.told(1, "loss")
    assert found.told(1, "accuracy") == plain.told(1, "accuracy")


def test_a_batch_without_weight_changes_nothing():
    train = examples("regression", 32, 4, 2)
    train = replace(train, weights=torch.zeros(32, dtype=F64))
    specs = [member(task="regression", optimizer="sgd", batch_size=8)]
    found = run(specs, "regression", 2, train)
    layout = Layout.of(specs[0].network, 4, 2)
    start = tensors_of(layout, initial_weights(layout, [0], "xavier", torch.float32))
    assert all(torch.equal(tensor, start[name]) for name, tensor in found.trained.stacks[0].tensors().items())
    assert found.told(0, "loss", "train") == [0.0, 0.0]


CODES = torch.tensor([0, 0, 0, 0, 1, 1, 2, 0, 2, 1])
TABLE = {
    "kind": CategoricalColumn(CODES, ("a", "b", "c")),
    "flag": CategoricalColumn(CODES % 2, (False, True)),
    "grade": NumericColumn(CODES.double()),
    "w": NumericColumn(torch.tensor([1.0, 0, 2, 0.5, 1, 1, 3, 1, 1, 2], dtype=F64)),
}
ROWS = torch.arange(9)


def weights(name, task, **spec):
    target = Target.fit(TABLE, name, task, ROWS)
    found = Weighting.fit(spec, TABLE, target, ROWS)
    return None if found is None else found.weights(TABLE, ROWS, target).tolist()


def test_balanced_is_scikit_learns_on_the_train_rows():
    labels = CODES[:9].numpy()
    by_class = compute_class_weight("balanced", classes=np.array([0, 1, 2]), y=labels)
    assert weights("kind", "multiclass", class_weights="balanced") == pytest.approx(by_class[labels].tolist())


@pytest.mark.parametrize(
    ("name", "task", "asked", "of_code"),
    [
        ("kind", "multiclass", {"a": 2, "c": 0}, [2, 1, 0]),
        ("grade", "multiclass", {"0": 2, "2": 0.5}, [2, 1, 0.5]),
        ("flag", "binary", {"true": 3}, [1, 3, 1]),
    ],
)
def test_a_class_is_named_as_json_writes_it_and_counts_once_if_it_is_not(name, task, asked, of_code):
    assert weights(name, task, class_weights=asked) == [of_code[code] for code in CODES[:9].tolist()]


def test_a_rows_weight_is_its_own_times_its_classs():
    own = TABLE["w"].values[:9].tolist()
    assert weights("kind", "multiclass", sample_weight="w") == own
    both = weights("kind", "multiclass", sample_weight="w", class_weights={"a": 10})
    assert both == [w * (10 if code == 0 else 1) for w, code in zip(own, CODES.tolist(), strict=False)]
    assert weights("kind", "multiclass") is None


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_cannot_be_is_refused(wrong):
    table = TABLE | {"w": NumericColumn(torch.full((10,), wrong, dtype=F64))}
    target = Target.fit(table, "kind", "multiclass", ROWS)
    with pytest.raises(UnusableColumn, match="missing, negative or infinite"):
        Weighting("w", None).weights(table, ROWS, target)


def test_a_split_without_any_weight_is_refused():
    target = Target.fit(TABLE, "kind", "multiclass", ROWS)
    with pytest.raises(UnusableColumn, match="a weight of zero"):
        Weighting(None, (0.0, 1.0, 1.0)).weights(TABLE, torch.arange(4), target)
