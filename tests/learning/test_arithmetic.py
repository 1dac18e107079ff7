"""What the bits of a member rest on: an operation gives an element the same number wherever it stands.

Torch computes most of a tensor in vectors and the last few elements one by one. Where the two differ, as they do in its
own sigmoid, a member of a population is not what it is alone.
"""

import pytest
import torch

from learning.activations import ACTIVATIONS
from learning.layers import affine
from learning.losses import LOSSES, OutputMask
from learning.threads import torch_threads

ONE = torch.ones(1)


def _activation(name):
    def both(x, y, z):
        out, slope = x.clone(), y.clone()
        ACTIVATIONS[name].forward(out, torch.ones_like(out))
        ACTIVATIONS[name].backward(slope, x if ACTIVATIONS[name].keeps_sums else out)
        return torch.cat([out, slope])

    return both


ELEMENTWISE = {
    **{name: _activation(name) for name in ACTIVATIONS},
    "moment": lambda x, y, z: torch.lerp(x, y, z.abs().clamp(max=1.0)),
    "moment, one rate for all": lambda x, y, z: torch.lerp(x, y, ONE.to(x) * 0.1),
    "square": lambda x, y, z: torch.addcmul(ONE.to(x) * 1e-30, x, x),
    "update": lambda x, y, z: x.addcmul(y, ONE.to(x) * 0.3, value=-1.0),
    "decay": lambda x, y, z: x.addcmul(y, ONE.to(x) * 0.01),
    "momentum": lambda x, y, z: x.mul(ONE.to(x) * 0.9).add_(y),
    "quotient": lambda x, y, z: x / y,
    "root": lambda x, y, z: x.abs().sqrt(),
    "softplus": lambda x, y, z: x.abs().neg_().exp_().log1p_(),
    "logarithm": lambda x, y, z: x.abs().log(),
    "power": lambda x, y, z: x.exp(),
    "cosine": lambda x, y, z: x.cos(),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_an_element_is_the_same_wherever_it_stands(name, dtype):
    torch.manual_seed(0)
    operation = ELEMENTWISE[name]
    x, y, z = torch.randn(3, 40_003, dtype=dtype) * 3
    with torch_threads(1):  # what more threads do is the next test's question
        whole = operation(x, y, z).view(-1, 40_003)
        for first, last in ((0, 1), (1, 18), (7, 7 + 48), (39_990, 40_003), (11, 1111), (3, 40_000)):
            part = operation(x[first:last].clone(), y[first:last].clone(), z[first:last].clone()).view(-1, last - first)
            assert torch.equal(part, whole[:, first:last]), (first, last)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("width", [16, 48, 336])
def test_a_members_rows_are_the_same_in_company(width, threads):
    torch.manual_seed(0)
    z = torch.randn(37, 96, width) * 3
    goals = torch.zeros_like(z)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for loss in LOSSES.values():
            out = torch.empty_like(z)
            loss.gradient(z, goals, OutputMask(width - 3, z), out)
            for k in (0, 17, 36):
                own = torch.empty_like(z[k : k + 1])
                loss.gradient(z[k : k + 1].clone(), goals[k : k + 1].clone(), OutputMask(width - 3, z), own)
                assert torch.equal(own[0], out[k])
                assert torch.equal(z[k : k + 1].clone().sum(1)[0], z.sum(1)[k])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("inputs", [16, 512, 528, 1040, 2000])
def test_a_product_is_the_same_in_company_and_on_any_number_of_threads(inputs):
    torch.manual_seed(0)
    y, weight, bias = torch.randn(5, 64, inputs), torch.randn(5, inputs, 48), torch.randn(5, 1, 48)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            together = torch.empty(5, 64, 48)
            affine(y, weight, bias, out=together)
            alone = torch.empty(1, 64, 48)
            affine(y[3:4].clone(), weight[3:4].clone(), bias[3:4].clone(), out=alone)
            found += [together[3], alone[0]]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(each, found[0]) for each in found)
    torch.testing.assert_close(found[0], (y[3] @ weight[3] + bias[3]), rtol=1e-4, atol=1e-3)
