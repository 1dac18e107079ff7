import json
import subprocess
import sys

import pytest

from learning import (
    activations,
    batches,
    estimate,
    evaluation,
    fitting,
    initialization,
    layout,
    network,
    preprocessing,
    randomness,
    schedule,
)
from learning.estimate import Rows, memory_bytes, memory_phases
from learning.layout import Layout
from learning.specs import LayerSpec, NetworkSpec

# Runs in a process of its own: the highest mark of its memory, less what it held when torch was there and warm.
PROGRAM = """
import json, re, sys
import torch
from learning.columns import NumericColumn
from learning.experiment import prepare
from learning.fitting import fit

def held(name):
    return int(re.search(name + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024

spec, rows, features = json.loads(sys.argv[1])
torch.set_num_threads(2)
torch.randn(64, 64) @ torch.randn(64, 64)
before = held("VmRSS")
table = {f"x{i}": NumericColumn(torch.rand(rows, dtype=torch.float64)) for i in range(features)}
table["y"] = NumericColumn(torch.rand(rows, dtype=torch.float64))
found = prepare(spec | {"features": [f"x{i}" for i in range(features)]}, table)
for pulse in fit(found.members, found.data, threads=2):
    if pulse.epochs:
        kept = pulse.snapshot()
print(held("VmHWM") - before)
"""


def spec(units, *, batch_size, sweep=None, epochs=1):
    return {
        "target": "y",
        "task": "regression",
        "validation": {"fraction": 0.2},
        "test": {"fraction": 0.1},
        "split_seed": 0,
        "scaling": "standard",
        "loss": "squared_error",
        "network": {"layers": [{"units": each, "activation": "relu"} for each in units]},
        "optimizer": {"name": "adam", "learning_rate": 1e-3, "betas": [0.9, 0.999]},
        "epochs": epochs,
        "batch_size": batch_size,
        "initialization": "he",
        "seed": 0,
        "sweep": sweep or {},
    }


CASES = {
    "a long table": (spec([8], batch_size=4096), 150_000, 12),
    "a wide network": (spec([1500, 1500], batch_size=256), 600, 10),
    "many members": (spec([64, 64], batch_size=64, sweep={"seed": list(range(300))}), 2000, 10),
    "dropout and normalization": (
        spec([64, 64], batch_size=2048, sweep={"seed": list(range(20))})
        | {"network": {"layers": [{"units": 64, "activation": "gelu", "dropout": 0.2, "normalization": "batch"}] * 2}},
        6000,
        10,
    ),
    "folds of several shapes": (
        spec([8], batch_size=64, sweep={"batch_size": [64, 256], "optimizer.name": ["adam", "sgd"]})
        | {"validation": {"folds": 5}},
        20_000,
        30,
    ),
    "many rates, one seed": (
        spec([], batch_size=8, sweep={"optimizer.learning_rate": [0.001 * i for i in range(1, 200)]}),
        3000,
        4,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_no_run_takes_more_than_was_estimated_nor_the_estimate_many_times_what_it_takes(case):
    asked, rows, features = CASES[case]
    call = [sys.executable, "-c", PROGRAM, json.dumps([asked, rows, features])]
    taken = int(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
    test = rows // 10
    validation = (rows - test) // 5 if "folds" in asked["validation"] else rows // 5
    estimated = memory_bytes(asked, Rows(rows - test - validation, validation, test), features, 1)
    assert taken <= estimated
    assert estimated <= 3 * max(taken, 64 << 20)  # that of the table itself, which is there before, is counted too


def test_the_figures_taken_from_other_files_are_theirs():
    assert estimate.TILE == layout.TILE
    assert estimate.BLOCK_ROWS == network.BLOCK_ROWS
    assert estimate.ENCODED_ROWS == preprocessing.BLOCK
    assert estimate.GATHERED_NUMBERS == batches.GATHERED_NUMBERS
    assert estimate.LONGEST_BLOCK == batches.LONGEST_BLOCK
    assert estimate.EVALUATED_NUMBERS == evaluation.HELD_NUMBERS
    assert estimate.HASHED_AT_ONCE == randomness.HASHED_AT_ONCE
    assert estimate.PULSE == fitting.PULSE
    assert estimate.PAYING == schedule.PAYING
    assert estimate.DRAWN_MEMBERS == initialization.MEMBERS_AT_ONCE
    assert estimate.DRAWN_NUMBERS == initialization.NUMBERS_AT_ONCE
    assert [name for name, each in activations.ACTIVATIONS.items() if each.keeps_sums] == [*estimate.SUMS_KEPT]
    ours = (estimate.MOST_MEMBERS, estimate.CALLS, estimate.OPERATIONS, estimate.UPDATE)
    assert ours == (schedule.MOST_MEMBERS, schedule.CALLS, schedule.OPERATIONS, schedule.UPDATE)


def training(asked, rows, inputs, outputs):
    """What is held in the phase of training, by what it is for."""
    return memory_phases(asked, Rows(rows), inputs, outputs)[3]


def test_what_all_shapes_hold_is_counted_for_all_and_what_each_thread_computes_for_each_thread():
    asked = spec([40], batch_size=32)
    one = training(asked, 50_000, 13, 3)
    many = training(asked | {"sweep": {"batch_size": [32, 33, 34]}}, 50_000, 13, 3)
    assert many["weights"] == 3 * one["weights"]
    assert 2 * one["work"] <= many["work"] <= 3 * one["work"]


def test_members_of_other_losses_have_rows_of_their_own():
    asked = spec([40], batch_size=32)
    losses = {"sweep": {"loss": ["squared_error", "absolute_error", "huber"]}}
    assert training(asked | losses, 1000, 13, 3)["rows"] == 3 * training(asked, 1000, 13, 3)["rows"]


def test_weights_are_counted_with_their_padding():
    stride = Layout.of(NetworkSpec((LayerSpec(20), LayerSpec(7))), 13, 3).stride
    asked = spec([20, 7], batch_size=32, sweep={"seed": [0, 1, 2]})
    assert training(asked, 100, 13, 3)["weights"] == 3 * stride * 4 * 4
    asked["optimizer"]["name"] = "sgd"
    assert training(asked, 100, 13, 3)["weights"] == 3 * stride * 4 * 2
    stopping = asked | {"early_stopping": {"patience": 3}}
    assert training(stopping, 100, 13, 3)["weights"] == 3 * stride * 4 * 4


def test_more_of_anything_is_never_estimated_at_less():
    small = spec([32], batch_size=32, sweep={"seed": [0, 1]})
    least = memory_bytes(small, Rows(1000), 10, 2)
    assert memory_bytes(small, Rows(100_000), 10, 2) > least
    assert memory_bytes(small, Rows(1000), 5000, 2) > least
    assert memory_bytes(small, Rows(1000), 10, 2000) > least
    assert memory_bytes(spec([4096], batch_size=32, sweep={"seed": [0, 1]}), Rows(1000), 10, 2) > least
    assert memory_bytes(spec([32], batch_size=32, sweep={"seed": list(range(4096))}), Rows(1000), 10, 2) > least
