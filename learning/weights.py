"""A population's weights by name and without padding, as they are kept, sent and hashed."""

from collections.abc import Iterable, Mapping
from hashlib import sha256

import torch
from torch import Tensor

from learning.layout import LayerLayout, Layout


def tensors_of(layout: Layout, flat: Tensor) -> dict[str, Tensor]:
    """`flat` [K, P] → copies of true widths, by name and in the order of the hash:

    `embeddings.<i>` [K, categories, units]; then `layers.<i>.weight` [K, in, out] and `layers.<i>.bias` [K, out], and
    where a layer is normalized `layers.<i>.scale | shift | mean | var` [K, out].
    """
    tensors = {f"embeddings.{i}": each.table(flat).clone() for i, each in enumerate(layout.embeddings)}
    for index, layer in enumerate(layout.layers):
        for name, part in layer.parts(flat).items():
            tensors[f"layers.{index}.{name}"] = _true(layer, name, part).clone()
    return tensors


def flat_of(layout: Layout, tensors: Mapping[str, Tensor]) -> Tensor:
    """The way back: zeros where padding is, [K, P]."""
    first = tensors["layers.0.weight"]
    flat = first.new_zeros(first.shape[0], layout.stride)
    for index, each in enumerate(layout.embeddings):
        each.table(flat).copy_(tensors[f"embeddings.{index}"])
    for index, layer in enumerate(layout.layers):
        for name, part in layer.parts(flat).items():
            _true(layer, name, part).copy_(tensors[f"layers.{index}.{name}"])
    return flat


def _true(layer: LayerLayout, name: str, part: Tensor) -> Tensor:
    return part[:, : layer.inputs, : layer.units] if name == "weight" else part[:, 0, : layer.units]


def slice_member(stacked: Mapping[str, Tensor], member: int) -> dict[str, Tensor]:
    """One network's tensors, without the first axis, as copies: a view would keep the whole population in memory."""
    return {name: tensor[member].clone() for name, tensor in stacked.items()}


def member_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of one network as little-endian float32, tensor by tensor in the order of `tensors_of`, by rows."""
    return together_sha256([tensors])


def together_sha256(members: Iterable[Mapping[str, Tensor]]) -> str:
    """That of several networks' bytes, one after another."""
    digest = sha256()
    for tensors in members:
        for name in sorted(tensors, key=_place):
            digest.update(tensors[name].to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()


_PARTS = ("weight", "bias", "scale", "shift", "mean", "var")


def _place(name: str) -> tuple[bool, int, int]:
    group, index, *part = name.split(".")
    return group == "layers", int(index), _PARTS.index(part[0]) if part else 0
