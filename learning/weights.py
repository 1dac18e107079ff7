"""A population's weights by name and without padding, as they are kept, sent and hashed."""

from collections.abc import Mapping
from hashlib import sha256

import torch
from torch import Tensor

from learning.layout import Layout


def tensors_of(layout: Layout, flat: Tensor) -> dict[str, Tensor]:
    """`flat` [K, P] → `layers.<i>.weight` [K, in, out] and `layers.<i>.bias` [K, out], copies of true widths."""
    tensors = {}
    for index, layer in enumerate(layout.layers):
        tensors[f"layers.{index}.weight"] = layer.weight(flat)[:, : layer.inputs, : layer.units].clone()
        tensors[f"layers.{index}.bias"] = layer.bias(flat)[:, 0, : layer.units].clone()
    return tensors


def flat_of(layout: Layout, tensors: Mapping[str, Tensor]) -> Tensor:
    """The way back: zeros where padding is, [K, P]."""
    first = tensors["layers.0.weight"]
    flat = first.new_zeros(first.shape[0], layout.stride)
    for index, layer in enumerate(layout.layers):
        layer.weight(flat)[:, : layer.inputs, : layer.units] = tensors[f"layers.{index}.weight"]
        layer.bias(flat)[:, 0, : layer.units] = tensors[f"layers.{index}.bias"]
    return flat


def slice_member(stacked: Mapping[str, Tensor], member: int) -> dict[str, Tensor]:
    """One network's tensors, without the first axis, as copies: a view would keep the whole population in memory."""
    return {name: tensor[member].clone() for name, tensor in stacked.items()}


def member_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of one network as little-endian float32: layer by layer, weight [in, out] by rows, then bias."""
    digest = sha256()
    for index in range(sum(name.endswith(".weight") for name in tensors)):
        for part in ("weight", "bias"):
            numbers = tensors[f"layers.{index}.{part}"].to("cpu", torch.float32).contiguous()
            digest.update(numbers.numpy().tobytes())
    return digest.hexdigest()
