"""A trained network as a plain `torch.nn.Sequential`, to be carried into PyTorch code of one's own.

    module = as_sequential(network_of(header["network"]), tensors)
    logits = module(torch.as_tensor(preprocessing.encode(rows)))

`header` and `tensors` are those of the file that `GET /v1/runs/{id}/weights` answers; `examples/carry_into_torch.py`
reads it without any of learnd. Outputs are logits or scaled values, equal to ours but for the order of additions.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from learning.specs import LayerSpec, NetworkSpec

Module = TypeVar("Module", bound=nn.Module)

MODULES: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,  # torch's slope below zero is ours, 1 / 100
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": lambda: nn.Softplus(threshold=40),  # torch's 20, above which it is x, shows in float64
}


def as_sequential(network: NetworkSpec, tensors: Mapping[str, Tensor]) -> nn.Sequential:
    """Encoded inputs [N, F] → outputs [N, out], in the dtype of the tensors and with copies of them.

    Of each hidden layer: Linear, BatchNorm1d or LayerNorm, the activation, Dropout, as far as it has them; the last
    Linear gives the outputs. It comes in `eval()`, as it predicts; after `train()` it may be trained further.
    `tensors` are one member's, by the names of the weights file. Raises KeyError where one that is needed is not there.
    """
    modules: list[nn.Module] = []
    count = sum(name.startswith("embeddings.") for name in tensors)
    if count:
        modules.append(LookedUp([tensors[f"embeddings.{index}"] for index in range(count)]))
    for index, layer in enumerate(network.layers):
        own = _of_layer(tensors, index)
        modules += [_linear(own), *_normalization(layer, own)]
        if layer.activation != "identity":
            modules.append(MODULES[layer.activation]())
        if layer.dropout:
            modules.append(nn.Dropout(layer.dropout))
    return nn.Sequential(*modules, _linear(_of_layer(tensors, len(network.layers)))).eval()


class LookedUp(nn.Module):
    """Inputs [N, F] whose last columns are indices → the columns before them, then each index's row of its table."""

    def __init__(self, tables: list[Tensor]) -> None:
        super().__init__()
        self.tables = nn.ModuleList(_holding(_table(*table.shape), weight=table) for table in tables)

    def forward(self, inputs: Tensor) -> Tensor:
        dense = inputs.shape[1] - len(self.tables)
        indices = inputs[:, dense:].long().unbind(1)
        rows = [table(index) for table, index in zip(self.tables, indices, strict=True)]
        return torch.cat([inputs[:, :dense], *rows], dim=1)


def _of_layer(tensors: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
    prefix = f"layers.{index}."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _table(categories: int, units: int) -> nn.Embedding:
    return nn.Embedding(categories, units, device="meta")


def _linear(own: Mapping[str, Tensor]) -> nn.Linear:
    """Torch keeps a weight as [out, in]."""
    inputs, units = own["weight"].shape
    return _holding(nn.Linear(inputs, units, device="meta"), weight=own["weight"].t(), bias=own["bias"])


def _normalization(layer: LayerSpec, own: Mapping[str, Tensor]) -> list[nn.Module]:
    if layer.normalization == "batch":
        counted = torch.zeros((), dtype=torch.int64)
        statistics = {"running_mean": own["mean"], "running_var": own["var"], "num_batches_tracked": counted}
        module = nn.BatchNorm1d(layer.units, device="meta")
        return [_holding(module, weight=own["scale"], bias=own["shift"], **statistics)]
    if layer.normalization == "layer":
        return [_holding(nn.LayerNorm(layer.units, device="meta"), weight=own["scale"], bias=own["shift"])]
    return []


def _holding(module: Module, **tensors: Tensor) -> Module:
    """The module, made without memory or random numbers of its own, with copies of these tensors."""
    module.load_state_dict({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, assign=True)
    return module
