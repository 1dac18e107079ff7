"""Hundreds of networks trained as one population: what each optimizer makes of a learning rate."""

from dataclasses import replace

import torch

from docs.pictures.svg import BLUE, GREEN, ORANGE, PURPLE, Drawing, Panel, powers
from docs.pictures.training import member, spirals, train, two_classes
from learning.examples import Data, Examples
from learning.specs import LayerSpec, OptimizerSpec

WAYS = {
    "sgd": (OptimizerSpec("sgd"), ORANGE),
    "sgd, momentum 0.9": (OptimizerSpec("sgd", momentum=0.9), PURPLE),
    "rmsprop": (OptimizerSpec("rmsprop"), GREEN),
    "adam": (OptimizerSpec("adam"), BLUE),
}
RATES = (1e-4, 10.0)
LEAST, WORST = 0.009, 2.0


def draw(rates: int = 41, seeds: int = 5, epochs: int = 150) -> str:
    examples = spirals(400)
    held = torch.arange(400) % 10 < 3
    seen, unseen = (Examples(examples.inputs[rows], examples.targets[rows]) for rows in (~held, held))
    steps = torch.linspace(0, 1, rates, dtype=torch.float64)
    drawn = (RATES[0] * (RATES[1] / RATES[0]) ** steps).tolist()
    specs = [
        member(
            [LayerSpec(16, "relu")] * 2,
            index=index,
            seed=seed,
            optimizer=replace(optimizer, learning_rate=rate),
            loss="binary_cross_entropy",
            epochs=epochs,
            batch_size=32,
            initialization="he",
        )
        for index, (optimizer, rate, seed) in enumerate(
            (optimizer, rate, seed) for optimizer, _ in WAYS.values() for rate in drawn for seed in range(seeds)
        )
    ]
    courses = train(specs, Data(two_classes(), seen, unseen))

    drawing = Drawing(760, 340, f"{len(specs)} networks: their loss against the learning rate of four optimizers")
    panel = Panel(drawing, (44, 40, 700, 250), RATES, (LEAST, WORST), logs="xy")
    panel.title(f"{len(specs)} networks, one run: the best validation loss of each")
    panel.x_axis("learning rate", powers(-4, -3, -2, -1, 0, 1))
    panel.y_axis("", powers(-2, -1, 0))
    found = torch.tensor([float(course.losses["validation"].nan_to_num(torch.inf).min()) for course in courses])
    found = found.clamp(max=WORST * 0.93).view(len(WAYS), rates, seeds)
    for place, ((name, (_, colour)), losses) in enumerate(zip(WAYS.items(), found, strict=True)):
        points = [(rate, loss) for rate, row in zip(drawn, losses.tolist(), strict=True) for loss in row]
        panel.dots(points, colour, 1.8, 0.55)
        panel.line(zip(drawn, losses.median(1).values.tolist(), strict=True), colour, 2)
        drawing.text((panel.left + 12, panel.top + 178 + 17 * place), name, colour=colour)
    return str(drawing)
