"""Fifty steps of the engine beside fifty of torch's own modules and optimizers, in float64."""

import pytest
import torch

from learning.examples import Examples
from learning.initialization import initial_weights
from learning.layout import Layout
from learning.randomness import key, permutations
from learning.weights import tensors_of
from tests.learning.trials import examples, member, run

ROWS, INPUTS, F64 = 93, 6, torch.float64
WIDTHS = {"regression": 2, "binary": 1, "multiclass": 4, "multilabel": 3}
MODULES = {
    "identity": torch.nn.Identity,
    "sigmoid": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
    "relu": torch.nn.ReLU,
    "leaky_relu": torch.nn.LeakyReLU,
    "elu": torch.nn.ELU,
    "gelu": torch.nn.GELU,
    "silu": torch.nn.SiLU,
    "softplus": lambda: torch.nn.Softplus(threshold=40.0),
}
LOSSES = {
    "regression": torch.nn.MSELoss,
    "binary": torch.nn.BCEWithLogitsLoss,
    "multiclass": torch.nn.CrossEntropyLoss,
    "multilabel": torch.nn.BCEWithLogitsLoss,
}
OPTIMIZERS = {"gd": torch.optim.SGD, "sgd": torch.optim.SGD, "adam": torch.optim.Adam}
SETTINGS = {  # what is asked of ours, and of torch's
    "sgd with momentum": ({"optimizer": "sgd", "momentum": 0.9}, torch.optim.SGD, {"momentum": 0.9}),
    "sgd with Nesterov's": (
        {"optimizer": "sgd", "momentum": 0.8, "nesterov": True},
        torch.optim.SGD,
        {"momentum": 0.8, "nesterov": True},
    ),
    "gd with momentum": (
        {"optimizer": "gd", "momentum": 0.9, "batch_size": None, "epochs": 50},
        torch.optim.SGD,
        {"momentum": 0.9},
    ),
    "sgd with decay": (
        {"optimizer": "sgd", "momentum": 0.5, "weight_decay": 0.1},
        torch.optim.SGD,
        {"momentum": 0.5, "weight_decay": 0.1},
    ),
    "adam with decay": ({"weight_decay": 0.1}, torch.optim.Adam, {"weight_decay": 0.1}),
    "adam with betas": ({"betas": (0.7, 0.95)}, torch.optim.Adam, {"betas": (0.7, 0.95)}),
    "adamw": ({"optimizer": "adamw"}, torch.optim.AdamW, {"weight_decay": 0.0}),
    "adamw with decay": ({"optimizer": "adamw", "weight_decay": 0.1}, torch.optim.AdamW, {"weight_decay": 0.1}),
    "rmsprop": ({"optimizer": "rmsprop"}, torch.optim.RMSprop, {}),
    "rmsprop with all": (
        {"optimizer": "rmsprop", "momentum": 0.6, "weight_decay": 0.1},
        torch.optim.RMSprop,
        {"momentum": 0.6, "weight_decay": 0.1},
    ),
    "sgd, clipped": ({"optimizer": "sgd", "clip_norm": 0.3}, torch.optim.SGD, {}),
    "adamw, clipped": (
        {"optimizer": "adamw", "weight_decay": 0.1, "clip_norm": 0.3},
        torch.optim.AdamW,
        {"weight_decay": 0.1},
    ),
}


def _torchs_own(spec, train, made, given, loss):
    layout = Layout.of(spec.network, INPUTS, 4 if train.targets.ndim == 1 else train.targets.shape[1])
    start = tensors_of(layout, initial_weights(layout, [spec.seed], spec.initialization, F64))
    modules = []
    for index, layer in enumerate(layout.layers):
        linear = torch.nn.Linear(layer.inputs, layer.units, dtype=F64)
        linear.weight.data = start[f"layers.{index}.weight"][0].T.contiguous()
        linear.bias.data = start[f"layers.{index}.bias"][0]
        modules += [linear, MODULES[layer.activation]()]
    net = torch.nn.Sequential(*modules)
    optimizer = made(net.parameters(), lr=spec.optimizer.learning_rate, **given)
    told = []
    for epoch in range(1, spec.epochs + 1):
        order, total = permutations([key("order", spec.seed, epoch)], ROWS)[0], 0.0
        for rows in order.split(spec.batch_size or ROWS):
            error = loss(net(train.inputs[rows]), train.targets[rows])
            optimizer.zero_grad()
            error.backward()
            if spec.optimizer.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(net.parameters(), spec.optimizer.clip_norm)
            optimizer.step()
            total += error.item() * len(rows)
        told.append(total / ROWS)
    return [module for module in net if isinstance(module, torch.nn.Linear)], told


@pytest.mark.parametrize("initialization", ["xavier", "he"])
@pytest.mark.parametrize("activation", sorted(MODULES))
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_fifty_steps_are_torchs_own(optimizer, task, activation, initialization):
    batch_size, epochs = (None, 50) if optimizer == "gd" else (10, 5)
    spec = member(
        3,
        layers=((11, activation), (7, activation)),
        task=task,
        optimizer=optimizer,
        batch_size=batch_size,
        epochs=epochs,
        initialization=initialization,
    )
    _is_torchs_own(spec, task, OPTIMIZERS[optimizer], {})


@pytest.mark.parametrize("case", SETTINGS)
def test_fifty_steps_with_every_setting_of_an_optimizer_are_torchs_own(case):
    """Weights and biases alike: torch decays and clips all parameters, and so do we."""
    ours, made, theirs = SETTINGS[case]
    spec = member(2, **{"layers": ((11, "tanh"), (7, "silu")), "batch_size": 10, "epochs": 5, **ours})
    _is_torchs_own(spec, "multiclass", made, theirs)


@pytest.mark.parametrize(
    ("loss", "theirs"),
    [
        ("absolute_error", torch.nn.L1Loss()),
        ("huber", torch.nn.HuberLoss(delta=1.0)),
        ("poisson", torch.nn.PoissonNLLLoss(log_input=True, full=False)),
    ],
)
def test_fifty_steps_with_every_loss_of_numbers_are_torchs_own(loss, theirs):
    spec = member(2, layers=((11, "tanh"),), task="regression", loss=loss, batch_size=10, epochs=5)
    _is_torchs_own(spec, "regression", torch.optim.Adam, {}, theirs)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_fifty_steps_with_smoothed_labels_are_torchs_own(task, smoothing):
    spec = member(2, layers=((11, "tanh"),), task=task, label_smoothing=smoothing, batch_size=10, epochs=5)
    plain, several = torch.nn.BCEWithLogitsLoss(), torch.nn.CrossEntropyLoss(label_smoothing=smoothing)

    def theirs(z, t):
        return several(z, t) if task == "multiclass" else plain(z, t * (1 - smoothing) + smoothing / 2)

    _is_torchs_own(spec, task, torch.optim.Adam, {}, theirs)


def _is_torchs_own(spec, task, made, given, loss=None):
    train = examples(task, ROWS, INPUTS, WIDTHS[task], dtype=F64)
    if spec.loss == "poisson":
        train = Examples(train.inputs, (train.targets * 3).abs().round())
    found = run([spec], task, WIDTHS[task], train)
    assert found.last.step == 50
    linears, told = _torchs_own(spec, train, made, given, loss or LOSSES[task]())
    stacked = found.trained.stacks[0].tensors()
    for index, linear in enumerate(linears):
        torch.testing.assert_close(stacked[f"layers.{index}.weight"][0], linear.weight.data.T, rtol=0, atol=1e-10)
        torch.testing.assert_close(stacked[f"layers.{index}.bias"][0], linear.bias.data, rtol=0, atol=1e-10)
    assert found.told(0, "loss", "train") == pytest.approx(told, rel=1e-6)


def test_a_batch_larger_than_a_block_is_one_step_over_all_its_rows():
    """1,100 rows in batches of 600 are computed as blocks of 512, 88, then 500 rows; torch knows two batches."""
    spec = member(0, layers=((5, "tanh"),), task="regression", batch_size=600, epochs=25, learning_rate=0.01)
    train = examples("regression", 1100, INPUTS, 2, dtype=F64)
    found = run([spec], "regression", 2, train)
    assert found.last.step == 50
    layout = Layout.of(spec.network, INPUTS, 2)
    start = tensors_of(layout, initial_weights(layout, [0], "xavier", F64))
    one, two = torch.nn.Linear(INPUTS, 5, dtype=F64), torch.nn.Linear(5, 2, dtype=F64)
    for index, linear in enumerate((one, two)):
        linear.weight.data = start[f"layers.{index}.weight"][0].T.contiguous()
        linear.bias.data = start[f"layers.{index}.bias"][0]
    optimizer = torch.optim.Adam([*one.parameters(), *two.parameters()], lr=0.01)
    for epoch in range(1, 26):
        for rows in permutations([key("order", 0, epoch)], 1100)[0].split(600):
            error = torch.nn.functional.mse_loss(two(torch.tanh(one(train.inputs[rows]))), train.targets[rows])
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
    torch.testing.assert_close(found.trained.tensors(0)["layers.0.weight"], one.weight.data.T, rtol=0, atol=1e-10)
    torch.testing.assert_close(found.trained.tensors(0)["layers.1.bias"], two.bias.data, rtol=0, atol=1e-10)
