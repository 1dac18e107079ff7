from hashlib import sha256

import torch

from learning.weights import flat_of, member_sha256, slice_member, tensors_of
from tests.learning.trials import examples, members, run


def test_a_hash_is_that_of_the_weights_as_bytes_in_the_order_of_the_contract():
    found = run(members(3, layers=(20, (7, "sigmoid"))), "multiclass", 3, examples("multiclass", 50, 5, 3)).trained
    stacked = found.stacks[0].tensors()
    assert list(stacked) == [f"layers.{index}.{part}" for index in range(3) for part in ("weight", "bias")]
    for k in range(3):
        parts = [stacked[name][k].numpy().astype("<f4").tobytes() for name in stacked]
        assert found.sha256(k) == sha256(b"".join(parts)).hexdigest()
        shuffled = dict(reversed(slice_member(stacked, k).items()))
        assert member_sha256(shuffled) == found.sha256(k)


def test_training_leaves_padding_at_zero():
    train = examples("multiclass", 50, 5, 3)
    for layers in ((20, (7, "sigmoid")), ((3, "tanh"), (1, "identity"))):
        for optimizer in ("sgd", "adam"):
            found = run(members(2, layers=layers, optimizer=optimizer, learning_rate=0.1), "multiclass", 3, train)
            flat, layout = found.state.tensors["0.weights"], found.trained.stacks[0].layout
            assert torch.equal(flat_of(layout, tensors_of(layout, flat)), flat)


def test_a_slice_holds_one_member_only():
    stacked = {"layers.0.weight": torch.randn(100, 3, 2), "layers.0.bias": torch.randn(100, 2)}
    one = slice_member(stacked, 7)
    assert torch.equal(one["layers.0.weight"], stacked["layers.0.weight"][7])
    assert one["layers.0.weight"].untyped_storage().nbytes() == 3 * 2 * 4
