"""The nine activations and their slopes, drawn by the lines that training runs."""

import torch

from docs.pictures.svg import BLUE, ORANGE, Drawing, Panel
from learning.activations import ACTIVATIONS

REACH = 4.0


def draw(points: int = 81) -> str:
    drawing = Drawing(760, 330, "Nine activations and their slopes")
    h = torch.linspace(-REACH, REACH, points, dtype=torch.float64)
    mask = torch.ones(1, dtype=torch.float64)
    for place, (name, activation) in enumerate(ACTIVATIONS.items()):
        row, column = divmod(place, 5)
        panel = Panel(drawing, (2 + 152 * column, 26 + 164 * row, 140, 120), (-REACH, REACH), (-1.4, 2.4))
        panel.title(name)
        panel.y_axis("", [(-1, ""), (0, ""), (1, ""), (2, "")])
        panel.line([(0, -1.4), (0, 2.4)], "#8f98a6", 1, 0.4)
        y, slope = h.clone(), torch.ones_like(h)
        activation.forward(y, mask)
        activation.backward(slope, h if activation.keeps_sums else y)
        panel.line(zip(h.tolist(), slope.tolist(), strict=True), ORANGE, 1.6)
        panel.line(zip(h.tolist(), y.tolist(), strict=True), BLUE, 2)
    drawing.text((2 + 152 * 4, 26 + 164 + 40), "output", "b", colour=BLUE)
    drawing.text((2 + 152 * 4, 26 + 164 + 60), "slope", "b", colour=ORANGE)
    drawing.text((2 + 152 * 4, 26 + 164 + 84), "of a sum h", "s")
    drawing.text((2 + 152 * 4, 26 + 164 + 100), "from -4 to 4", "s")
    return str(drawing)
