"""A network that learns the noise by heart, caught before it does, or made dull enough not to."""

import torch

from docs.pictures.svg import BLUE, GREEN, ORANGE, Drawing, Panel, powers
from docs.pictures.training import member, noise, numbers, train
from learning.examples import Data, Examples
from learning.specs import LayerSpec, OptimizerSpec


def draw(epochs: int = 3000, rows: int = 24, seed: int = 0) -> str:
    seen, held = _wave(rows, "seen"), _wave(rows, "held")
    optimizer = OptimizerSpec("adam", 0.003)
    spec = member([LayerSpec(64, "tanh")] * 2, optimizer=optimizer, epochs=epochs, seed=seed)
    (course,) = train([spec], Data(numbers(), seen, held))
    (to_the_end,) = train([spec], Data(numbers(), seen))  # without validation the last weights are kept
    best = int(course.losses["validation"].argmin()) + 1
    drawing = Drawing(760, 310, "Overfitting: the loss of seen and of unseen examples, and what is learned")

    left = Panel(drawing, (44, 40, 320, 220), (1, epochs), (0.01, 2), logs="xy")
    left.title("The loss of seen and unseen examples")
    left.x_axis("epoch", [tick for tick in powers(0, 1, 2, 3) if tick[0] <= epochs])
    left.y_axis("", powers(-2, -1, 0))
    left.line(enumerate(course.losses["train"].tolist(), start=1), BLUE, 2)
    left.line(enumerate(course.losses["validation"].tolist(), start=1), ORANGE, 2)
    left.dots([(best, course.losses["validation"][best - 1].item())], GREEN, 4.5, rim="#fff")

    right = Panel(drawing, (420, 40, 330, 220), (-1.15, 1.15), (-1.9, 1.9))
    drawing.text(left.at((1.15, 0.62)), "unseen", colour=ORANGE)
    drawing.text(left.at((1.15, 0.24)), "seen", colour=BLUE)
    kept = left.at((best, course.losses["validation"][best - 1].item()))
    drawing.text((kept[0] - 8, kept[1] + 20), f"kept: epoch {best}", anchor="end", colour=GREEN)
    right.title("What was kept, and what it became")
    right.x_axis("x", [(x, str(x)) for x in (-1, 0, 1)])
    right.y_axis("", [(y, str(y)) for y in (-1, 0, 1)])
    x = torch.linspace(-1.15, 1.15, 200).unsqueeze(1)
    for each, colour in ((to_the_end, BLUE), (course, GREEN)):
        right.line(zip(x[:, 0].tolist(), each.outputs(x)[:, 0].tolist(), strict=True), colour, 2)
    for examples, colour in ((held, ORANGE), (seen, BLUE)):
        right.dots(torch.cat([examples.inputs, examples.targets], dim=1).tolist(), colour, 2.6)
    return str(drawing)


def _wave(rows: int, purpose: str) -> Examples:
    x = torch.linspace(-1, 1, rows) + (0.02 if purpose == "held" else -0.02)
    return Examples(x.unsqueeze(1), ((3.2 * x).sin() + 0.35 * noise(rows, purpose)).unsqueeze(1))
