"""Four ways down the same valley: the loss of a regression on two features that say almost the same."""

from collections.abc import Mapping

import torch
from torch import Tensor

from docs.pictures.contours import outlines
from docs.pictures.svg import BLUE, GREEN, INK, ORANGE, PURPLE, Drawing, Panel, Point, powers
from docs.pictures.training import Course, member, numbers, spirals, standard, start_of, table, train, two_classes
from learning.examples import Data, Examples
from learning.specs import LayerSpec, OptimizerSpec

WAYS = {
    "gradient descent": (OptimizerSpec("gd", 0.49), None, ORANGE),
    "with momentum": (OptimizerSpec("gd", 0.3, momentum=0.6), None, PURPLE),
    "in batches of 16": (OptimizerSpec("sgd", 0.03), 16, GREEN),
    "Adam": (OptimizerSpec("adam", 0.1), None, BLUE),
}
ACROSS, UP = (-1.7, 0.9), (-0.7, 1.6)
LEVELS = (4.0, 2.0, 1.0, 0.5, 0.25, 0.1, 0.03)


def draw(epochs: int = 60, longer: int = 200, seed: int = 29, size: int = 48) -> str:
    x, y = table("diabetes", ["s1", "s2"], "progression")
    rows = Examples(standard(x), standard(y))
    specs = [
        member(index=index, seed=seed, optimizer=optimizer, batch_size=batch, epochs=epochs)
        for index, (optimizer, batch, _) in enumerate(WAYS.values())
    ]
    inputs = rows.inputs.double()
    together = inputs.T @ inputs / rows.rows
    best = torch.linalg.solve(together, (inputs.T @ rows.targets.double() / rows.rows)[:, 0])

    def above(w: Tensor) -> Tensor:
        """E(w) - E(best) for w [..., 2]; the bias is at its best, zero, from the start."""
        away = w - best
        return torch.einsum("...i,ij,...j", away, together, away)

    grid = torch.cartesian_prod(torch.linspace(*UP, size).double(), torch.linspace(*ACROSS, size).double()).flip(1)
    depths = (-above(grid)).view(size, size).tolist()
    valley = [[[_of_grid(point, size) for point in loop] for loop in outlines(depths, -level)] for level in LEVELS]

    drawing = Drawing(760, 446, "Gradient descent, with momentum, in batches, and Adam: their ways down one valley")
    falls = Panel(drawing, (44, 238, 300, 165), (0, epochs), (1e-5, 3), logs="y")
    for place, (course, name) in enumerate(zip(train(specs, Data(numbers(), rows), follow=True), WAYS, strict=True)):
        way = torch.stack([_pair(start_of(course.spec, inputs=2, outputs=1)), *map(_pair, course.weights)]).double()
        colour = WAYS[name][2]
        panel = Panel(drawing, (2 + 192 * place, 30, 180, 160), ACROSS, UP)
        drawing.text((panel.left, panel.top - 11), name, "b", colour=colour)
        for loops in valley:
            panel.area(loops, INK, 0.09)
        panel.line(way.tolist(), colour, 1.5)
        panel.dots(way.tolist(), colour, 1.9)
        panel.frame()
        falls.line(enumerate(above(way).tolist()), colour, 2)
    falls.title("How far above the least loss each is")
    falls.x_axis("epochs", [(epoch, str(epoch)) for epoch in range(0, epochs + 1, 20)])
    falls.y_axis("", powers(-5, -4, -3, -2, -1, 0))

    deep = Panel(drawing, (436, 238, 300, 165), (0, longer), (0.005, 1), logs="y")
    deep.title("The loss of a deep network, the same four")
    deep.x_axis("epochs", [(epoch, str(epoch)) for epoch in range(0, longer + 1, max(1, longer // 4))])
    deep.y_axis("", powers(-2, -1, 0))
    for course, (_, _, colour) in zip(_deep(longer), WAYS.values(), strict=True):
        deep.line(enumerate(course.losses["train"].tolist(), start=1), colour, 2)
    return str(drawing)


def _deep(epochs: int) -> list[Course]:
    """Two spirals and three layers; but plain gradient descent, all take as many examples for each step."""
    ways = [
        (OptimizerSpec("gd", 0.3), None),
        (OptimizerSpec("sgd", 0.03, momentum=0.9), 32),
        (OptimizerSpec("sgd", 0.1), 32),
        (OptimizerSpec("adam", 0.01), 32),
    ]
    layers = [LayerSpec(8, "relu")] * 3
    loss = {"loss": "binary_cross_entropy", "initialization": "he", "epochs": epochs, "seed": 1}
    specs = [
        member(layers, index=index, optimizer=optimizer, batch_size=batch, **loss)
        for index, (optimizer, batch) in enumerate(ways)
    ]
    return train(specs, Data(two_classes(), spirals(400)))


def _pair(tensors: Mapping[str, Tensor]) -> Tensor:
    return tensors["layers.0.weight"][:, 0]


def _of_grid(point: Point, size: int) -> Point:
    across, up = (place / (size - 1) for place in point)
    return ACROSS[0] + across * (ACROSS[1] - ACROSS[0]), UP[0] + up * (UP[1] - UP[0])
