import itertools

import pytest
import torch
from scipy import stats

from learning.randomness import bits, key, normal, permutations, uniform

MANY = torch.arange(200_000, dtype=torch.int32)
CONFIDENT = 1e-4  # the tests are of fixed numbers: they pass or fail once and for all


def _keys(count, *place):
    return [key("test", seed, *place) for seed in range(count)]


def test_the_numbers_never_change():
    """Stored hashes depend on these: another function of the same name would be another engine."""
    assert key("weights", 0, 1) == (-407909273, -922485782)
    assert bits([key("weights", 0, 1)], torch.arange(4, dtype=torch.int32)).tolist() == [
        [-1287675732, 773852360, -134221296, 1083469073]
    ]
    assert permutations([key("order", 0, 1)], 8).tolist() == [[2, 3, 0, 7, 1, 5, 4, 6]]


def test_a_number_is_the_same_alone_and_among_others():
    keys = _keys(40)
    together = uniform(keys, MANY[:1000])
    for k, i in ((0, 0), (17, 333), (39, 999)):
        assert uniform([keys[k]], MANY[i : i + 1]).item() == together[k, i].item()
    among = normal(keys, MANY[:1000])
    assert normal([keys[17]], MANY[333:334]).item() == among[17, 333].item()


def test_under_one_key_no_number_comes_twice():
    assert len(torch.unique(bits(_keys(1), MANY))) == len(MANY)


def test_keys_differ_in_purpose_seed_and_place():
    found = {key(purpose, seed, a, b) for purpose in "xy" for seed in range(-3, 30) for a in range(9) for b in range(9)}
    assert len(found) == 2 * 33 * 9 * 9
    assert key("x", 1, 23) != key("x", 12, 3)
    assert key("x", 2**80) != key("x", 2**80 + 1)


@pytest.mark.parametrize("draw", [0, 1, 2])
def test_uniform_numbers_are_uniform(draw):
    numbers = uniform([key("test", draw)], MANY)[0]
    assert numbers.min() > 0.0
    assert numbers.max() < 1.0
    assert torch.equal(numbers.float().double(), numbers), "float32 holds them exactly"
    counts = torch.histc(numbers, 1000, 0.0, 1.0)
    assert stats.chisquare(counts.numpy()).pvalue > CONFIDENT
    assert stats.kstest(numbers.numpy(), "uniform").pvalue > CONFIDENT


def test_normal_numbers_are_normal():
    numbers = normal(_keys(5), MANY[:50_000])
    assert stats.kstest(numbers.flatten().numpy(), "norm").pvalue > CONFIDENT
    assert numbers.isfinite().all()


@pytest.mark.parametrize("lag", [1, 2, 3, 16, 64, 1000])
def test_neighbours_are_independent(lag):
    numbers = uniform([key("test", 7)], MANY)[0]
    grid = torch.stack([numbers[:-lag], numbers[lag:]]).mul(16).long()
    counts = torch.bincount(grid[0] * 16 + grid[1], minlength=256)
    assert stats.chisquare(counts.numpy()).pvalue > CONFIDENT


def test_the_same_place_under_neighbouring_seeds_is_independent():
    numbers = uniform([key("weights", seed, 0) for seed in range(20_000)], MANY[:8])
    for place in range(8):
        assert stats.kstest(numbers[:, place].numpy(), "uniform").pvalue > CONFIDENT
    pairs = numbers.mul(8).long()
    counts = torch.bincount(pairs[:-1, 0] * 8 + pairs[1:, 0], minlength=64)
    assert stats.chisquare(counts.numpy()).pvalue > CONFIDENT
    assert torch.corrcoef(numbers.T).fill_diagonal_(0.0).abs().max() < 4.5 / 20_000**0.5


def test_each_bit_of_a_counter_sways_each_bit_of_its_number():
    counters = torch.randint(2**31 - 1, (20_000,), dtype=torch.int32, generator=torch.Generator().manual_seed(1))
    before = bits(_keys(1), counters)[0]
    for place in range(31):
        flipped = before ^ bits(_keys(1), counters ^ (1 << place))[0]
        for bit in range(32):
            share = ((flipped >> bit) & 1).double().mean().item()
            assert abs(share - 0.5) < 5 * 0.5 / 20_000**0.5, (place, bit)


def test_every_order_is_as_likely_as_any_other():
    found = permutations(_keys(12_000), 4).tolist()
    counts = [found.count(list(order)) for order in itertools.permutations(range(4))]
    assert sum(counts) == 12_000
    assert stats.chisquare(counts).pvalue > CONFIDENT


@pytest.mark.parametrize("count", [1, 2, 17, 1000, 50_000])
def test_a_permutation_names_every_row_once(count):
    (order,) = permutations([key("order", 3, 1)], count)
    assert torch.equal(order.sort().values, torch.arange(count))


def test_an_order_forgets_the_rows_places():
    """Neither a row's place nor its neighbour is kept from one epoch to the next."""
    first, second = permutations([key("order", 0, 1), key("order", 0, 2)], 20_000).double()
    line = torch.arange(20_000).double()
    for one, other in ((line, first), (first, second), (first[:-1], first[1:])):
        assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1].item()) < 4.5 / 20_000**0.5
    assert ((first[1:] - first[:-1]).abs() == 1).sum() < 20
