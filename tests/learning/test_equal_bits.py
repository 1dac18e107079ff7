import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learning import schedule
from tests.learning.drawing import population
from tests.learning.trials import alone, drive, examples, members, run

SHAPES = [
    (16, (32, 32), "multiclass", 3),
    (54, ((64, "tanh"), (64, "relu")), "multiclass", 7),
    (10, ((20, "sigmoid"), (20, "tanh")), "multiclass", 10),
    (13, (100, (100, "sigmoid")), "regression", 5),
    (333, (333,), "multiclass", 7),
    (7, (), "binary", 1),
    (3, ((1, "sigmoid"), (7, "identity")), "regression", 1),
    (5, ((20, "gelu"), (33, "silu"), (7, "softplus"), (20, "elu"), (3, "leaky_relu")), "multiclass", 3),
]


@pytest.fixture
def chunks(monkeypatch):
    """Cut populations into chunks of at most so many members, and give every thread some, however small they are."""

    def cut(size: int) -> None:
        monkeypatch.setattr(schedule, "MOST_MEMBERS", size)
        monkeypatch.setattr(schedule, "PAYING", 1e-3)
        monkeypatch.setattr(schedule, "WIDE", 1e-3)

    return cut


@pytest.mark.parametrize("batch_size", [1, 5, 32, 91])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_member_in_company_has_the_bits_it_has_alone(shape, batch_size, chunks):
    inputs, layers, task, width = shape
    rows = 20 if batch_size == 1 else 100
    train, validation = examples(task, rows, inputs, width), examples(task, 70, inputs, width, seed=1)
    specs = members(16, layers=layers, task=task, batch_size=batch_size)
    by_itself = {k: run([alone(specs[k])], task, width, train, validation).everything(0) for k in (0, 7, 15)}

    together = [run(specs, task, width, train, validation)]
    chunks(5)
    together += [run(specs, task, width, train, validation, threads=threads) for threads in (2, 3)]

    for finished in together:
        assert {k: finished.everything(k) for k in by_itself} == by_itself
    assert len({together[0].trained.sha256(k) for k in range(16)}) == 16


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_member_of_any_population_has_the_bits_it_has_alone(data):
    """Whatever its layers, loss, optimizer and fold, and whoever is trained beside it."""
    specs, own = population(data)
    k = data.draw(st.integers(0, len(specs) - 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "PAYING", 1e-3)
        most = data.draw(st.none() | st.integers(1, 4))
        company = drive(specs, own, threads=data.draw(st.integers(1, 3)), most_members=most)
    assert company.everything(k) == drive([alone(specs[k])], own[k]).everything(0)


@pytest.mark.parametrize("batch_size", [91, None])
def test_a_wide_network_has_the_same_bits_on_one_two_and_three_threads(batch_size, chunks):
    inputs, layers, task, width = 1300, ((600, "tanh"), (40, "relu")), "multiclass", 3
    train, validation = examples(task, 700, inputs, width), examples(task, 70, inputs, width, seed=1)
    specs = members(2, layers=layers, task=task, batch_size=batch_size, epochs=1)
    chunks(1)
    found = [run(specs[:1], task, width, train, validation, threads=n).everything(0) for n in (1, 2, 3)]
    assert found[1:] == found[:1] * 2
    assert run(specs, task, width, train, validation, threads=2).everything(0) == found[0]


@pytest.mark.parametrize("batch_size", [700, None])
def test_a_batch_of_several_blocks_that_meet_in_batch_normalization_has_the_bits_it_has_alone(batch_size, chunks):
    train, validation = examples("multiclass", 1300, 20, 5), examples("multiclass", 70, 20, 5, seed=1)
    layers = ((33, "tanh", 0.3, "batch"), (20, "silu", 0.0, "batch"))
    specs = members(5, layers=layers, batch_size=batch_size)
    by_itself = run([alone(specs[3])], "multiclass", 5, train, validation).everything(0)
    assert run(specs, "multiclass", 5, train, validation).everything(3) == by_itself
    chunks(2)
    for threads in (2, 3):
        assert run(specs, "multiclass", 5, train, validation, threads=threads).everything(3) == by_itself


def test_equal_seeds_share_their_order_and_keep_their_bits():
    train = examples("multiclass", 100, 6, 3)
    specs = members(6, seed=4)
    together = run(specs, "multiclass", 3, train)
    for k in (0, 3):
        assert together.everything(k) == run([alone(specs[k])], "multiclass", 3, train).everything(0)


def test_two_equal_fits_have_the_same_hash_and_another_seed_another():
    train = examples("multiclass", 100, 6, 3)
    first, again = (run(members(1), "multiclass", 3, train).trained.sha256(0) for _ in range(2))
    assert first == again
    assert run(members(1, seed=1), "multiclass", 3, train).trained.sha256(0) != first


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_torchs_own_number_of_threads_changes_nothing_and_stays(threads):
    train, validation = examples("multiclass", 100, 40, 3), examples("multiclass", 100, 40, 3, seed=1)
    expected = run(members(3, layers=(70,)), "multiclass", 3, train, validation).everything(1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = run(members(3, layers=(70,)), "multiclass", 3, train, validation, threads=2).everything(1)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found == expected
