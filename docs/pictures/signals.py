"""How large the signals of a deep network are, layer by layer, before it has learned anything."""

import torch
from torch import Tensor, nn

from docs.pictures.svg import BLUE, GREEN, ORANGE, Drawing, Panel, powers
from docs.pictures.training import member, noise, start_of
from learning.sequential import as_sequential
from learning.specs import LayerSpec

SHOWN = (("relu", "he", BLUE), ("tanh", "xavier", GREEN), ("relu", "xavier", ORANGE))


def draw(depth: int = 30, units: int = 128, rows: int = 256) -> str:
    drawing = Drawing(760, 250, "The size of the signals in a deep network with three kinds of starting weights")
    inputs = noise(rows * units, "signals").view(rows, units)
    panel = Panel(drawing, (44, 36, 560, 160), (0, depth), (1e-5, 3), logs="y")
    panel.title("How large the outputs of each layer are, before the first step")
    panel.x_axis("layer", [(layer, str(layer)) for layer in range(0, depth + 1, 10)])
    panel.y_axis("", powers(-4, -3, -2, -1, 0))
    for activation, initialization, colour in SHOWN:
        sizes = _sizes(depth, units, activation, initialization, inputs)
        panel.line(enumerate(sizes), colour, 2)
        at = (panel.left + panel.width + 8, panel.at((depth, sizes[-1]))[1] + 4)
        drawing.text(at, f"{activation}, {initialization}", colour=colour)
    return str(drawing)


def _sizes(depth: int, units: int, activation: str, initialization: str, signals: Tensor) -> list[float]:
    """The root of the mean square of the inputs, and of each layer's outputs."""
    spec = member([LayerSpec(units, activation)] * depth, initialization=initialization)
    *hidden, _ = as_sequential(spec.network, start_of(spec, inputs=units, outputs=1)).children()
    sizes = [_size(signals)]
    with torch.no_grad():
        for module in hidden:
            signals = module(signals)
            if not isinstance(module, nn.Linear):
                sizes.append(_size(signals))
    return sizes


def _size(signals: Tensor) -> float:
    return signals.square().mean().sqrt().item()
