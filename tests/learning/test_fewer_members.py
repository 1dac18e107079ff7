"""Where memory is short fewer members are computed in one go: in less memory, with the same bits."""

import json
import subprocess
import sys

import pytest

from learning.examples import Data
from learning.fitting import fit
from learning.schedule import FEWER_MEMBERS
from tests.learning.trials import drive, examples, members, run, target

# Runs in a process of its own: the highest mark of its memory, less what it held when torch was there and warm.
PROGRAM = """
import json, re, sys
import torch
from learning.examples import Data
from learning.fitting import fit
from tests.learning.trials import examples, members, target

def held(name):
    return int(re.search(name + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024

most, count, units, batch_size = json.loads(sys.argv[1])
torch.randn(64, 64) @ torch.randn(64, 64)
train, validation = examples("multiclass", 1000, 20, 3), examples("multiclass", 300, 20, 3, seed=1)
specs = members(count, layers=(units, units), batch_size=batch_size, epochs=1)
before = held("VmRSS")
for pulse in fit(specs, Data(target("multiclass", 3), train, validation), threads=2, most_members=most):
    pass
peak = held("VmHWM") - before
print(json.dumps([peak, pulse.trained().sha256(count - 1)]))
"""


def trained(most, *population):
    call = [sys.executable, "-c", PROGRAM, json.dumps([most, *population])]
    return json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("population", [(512, 32, 512), (128, 128, 512)])
def test_fewer_members_at_a_time_take_less_memory_and_have_the_same_bits(population):
    most, as_usual = trained(None, *population)
    fewer, again = trained(FEWER_MEMBERS, *population)
    assert again == as_usual
    assert fewer < 0.7 * most


def test_a_run_goes_on_with_fewer_members_at_a_time_where_it_stood():
    train, validation = examples("multiclass", 100, 6, 3), examples("multiclass", 70, 6, 3, seed=1)
    specs = members(20, epochs=3)
    straight = run(specs, "multiclass", 3, train, validation)
    data = Data(target("multiclass", 3), train, validation)
    first = next(pulse for pulse in fit(specs, data) if pulse.epoch == 1)
    finished = drive(specs, data, state=first.snapshot(), most_members=3)
    assert [finished.trained.sha256(k) for k in range(20)] == [straight.trained.sha256(k) for k in range(20)]
    assert finished.told(7, "loss") == straight.told(7, "loss")[1:]
