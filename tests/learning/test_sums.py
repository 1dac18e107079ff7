import torch
from hypothesis import given
from hypothesis import strategies as st

from learning.sums import halving_mean, halving_sum


@given(st.lists(st.integers(-(2**40), 2**40), max_size=200))
def test_whole_numbers_are_summed_exactly(terms):
    assert halving_sum(torch.tensor(terms, dtype=torch.float64), 0).item() == sum(terms)


@given(rows=st.integers(1, 300), company=st.integers(1, 40), seed=st.integers(0, 2**31))
def test_a_sum_has_the_same_bits_in_any_company_and_layout(rows, company, seed):
    terms = torch.randn(company, rows, generator=torch.Generator().manual_seed(seed))
    together = halving_sum(terms, 1)
    assert together.equal(torch.stack([halving_sum(row, 0) for row in terms]))
    assert together.equal(halving_sum(terms.t().contiguous(), 0))


def test_a_sum_has_the_same_bits_on_one_thread_and_two():
    terms = torch.randn(3, 400_001, generator=torch.Generator().manual_seed(5))
    threads = torch.get_num_threads()
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append(halving_sum(terms, 1))
    torch.set_num_threads(threads)
    assert found[0].equal(found[1])


def test_the_order_of_the_additions_is_the_one_that_is_written_down():
    """Hashes of weights that people keep follow from it."""
    a, b, c, d, e = terms = torch.tensor([1.0, 2.0**-24, 2.0**-25, 2.0**-24, -1.0])
    assert halving_sum(terms, 0).item() == (((a + d) + c) + (b + e)).item()
    assert (((a + d) + c) + (b + e)).item() != (((a + d) + e) + (b + c)).item()


def test_summing_leaves_the_terms_alone():
    terms = torch.ones(7)
    halving_sum(terms, 0)
    assert terms.equal(torch.ones(7))


def test_the_mean_divides_by_the_number_of_terms():
    assert halving_mean(torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]]), 1).tolist() == [3.0, 1.0]
