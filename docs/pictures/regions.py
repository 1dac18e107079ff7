"""What a network makes of two spirals: the regions that it tells apart grow richer with each layer."""

import torch

from docs.pictures.contours import outlines
from docs.pictures.svg import BLUE, ORANGE, Drawing, Panel, blend
from docs.pictures.training import member, spirals, train, two_classes
from learning.examples import Data
from learning.specs import LayerSpec, OptimizerSpec

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
SIDE = 1.15
NAMES = ("No hidden layer", "One of 8 units", "Two", "Three")
COLD, EVEN, WARM = "#8fb8ea", "#f3f2f0", "#f2b78c"


def draw(epochs: int = 500, rows: int = 400, size: int = 64, seed: int = 1) -> str:
    examples = spirals(rows)
    specs = [
        member(
            [LayerSpec(8, "relu")] * layers,
            index=layers,
            seed=seed,
            loss="binary_cross_entropy",
            epochs=epochs,
            batch_size=32,
            initialization="he",
            optimizer=OptimizerSpec("adam", 0.01),
        )
        for layers in range(4)
    ]
    courses = train(specs, Data(two_classes(), examples))
    drawing = Drawing(760, 236, "Two spirals told apart by networks of no, one, two and three hidden layers")
    edge = torch.linspace(-SIDE, SIDE, size)
    grid = torch.cartesian_prod(edge, edge).flip(1)
    for layers, course in enumerate(courses):
        panel = Panel(drawing, (2 + 192 * layers, 46, 180, 180), (-SIDE, SIDE), (-SIDE, SIDE))
        hits = ((course.outputs(examples.inputs) > 0) == (examples.targets > 0.5)).float().mean().item()
        panel.title(NAMES[layers], f"{100 * hits:.0f} % right")
        panel.ground(COLD)
        heights = torch.sigmoid(course.outputs(grid)).view(size, size).tolist()
        for place, level in enumerate(LEVELS):
            found = outlines(heights, level)
            loops = [[(_of_grid(x, size), _of_grid(y, size)) for x, y in loop] for loop in found]
            panel.area(loops, blend((place + 1) / len(LEVELS), COLD, EVEN, WARM))
        for value, colour in ((0, BLUE), (1, ORANGE)):
            panel.dots(examples.inputs[examples.targets[:, 0] == value].tolist(), colour, 1.7, rim="#fff")
    return str(drawing)


def _of_grid(place: float, size: int) -> float:
    return SIDE * (2 * place / (size - 1) - 1)
