"""A network's layers in a graph: `learning.layers`, `normalization` and `activations` in ONNX, as they predict."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from learning.activations import LEAK
from learning.model import Model
from learning.normalization import EPSILON
from learning.specs import LayerSpec
from service.exporting.graph import Graph
from service.exporting.preprocessing import Encoded


def outputs(graph: Graph, encoded: Encoded, model: Model, prefix: str = "") -> str:
    """[N, width] float32, logits or scaled values; constants are called as in the file of weights, behind `prefix`."""
    held = {name: graph.constant(tensor.numpy(), prefix + name) for name, tensor in model.tensors.items()}
    rows = [
        graph.add("Gather", held[f"embeddings.{place}"], index, axis=0) for place, index in enumerate(encoded.embedded)
    ]
    parts = [*([encoded.dense] if encoded.dense else []), *rows]
    y = parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)
    for index, layer in enumerate(model.network.layers):
        own = f"layers.{index}."
        h = graph.add("Gemm", y, held[f"{own}weight"], held[f"{own}bias"])
        if layer.normalization is not None:
            h = _normalized(graph, h, layer, {name.removeprefix(own): each for name, each in held.items()})
        y = ACTIVATIONS[layer.activation](graph, h)
    last = f"layers.{len(model.network.layers)}."
    return graph.add("Gemm", y, held[f"{last}weight"], held[f"{last}bias"], name=f"{prefix}outputs")


def _normalized(graph: Graph, h: str, layer: LayerSpec, own: Mapping[str, str]) -> str:
    """(h - m) / √(v + ε) · scale + shift, with the row's own mean and variance, or the running ones."""
    if layer.normalization == "layer":
        centred = graph.add("Sub", h, graph.add("ReduceMean", h, axes=[1]))
        variance = graph.add("ReduceMean", graph.add("Mul", centred, centred), axes=[1])
    else:
        centred, variance = graph.add("Sub", h, own["mean"]), own["var"]
    spread = graph.add("Sqrt", graph.add("Add", variance, graph.number(EPSILON, np.float32)))
    scaled = graph.add("Mul", graph.add("Div", centred, spread), own["scale"])
    return graph.add("Add", scaled, own["shift"])


def _silu(graph: Graph, h: str) -> str:
    return graph.add("Mul", h, graph.add("Sigmoid", h))


def _gelu(graph: Graph, h: str) -> str:
    error = graph.add("Erf", graph.add("Mul", h, graph.number(math.sqrt(0.5), np.float32)))
    doubled = graph.add("Add", error, graph.number(1.0, np.float32))
    return graph.add("Mul", h, graph.add("Mul", doubled, graph.number(0.5, np.float32)))


ACTIVATIONS: Mapping[str, Callable[[Graph, str], str]] = {
    "identity": lambda _graph, h: h,
    "sigmoid": lambda graph, h: graph.add("Sigmoid", h),
    "tanh": lambda graph, h: graph.add("Tanh", h),
    "relu": lambda graph, h: graph.add("Relu", h),
    "leaky_relu": lambda graph, h: graph.add("LeakyRelu", h, alpha=LEAK),
    "elu": lambda graph, h: graph.add("Elu", h, alpha=1.0),
    "gelu": _gelu,
    "silu": _silu,
    "softplus": lambda graph, h: graph.add("Softplus", h),
}
