"""A line that gradient descent moves to where the formulas of linear regression put it, and its loss on the way."""

from docs.pictures.svg import BLUE, INK, ORANGE, Drawing, Panel, blend
from docs.pictures.training import member, numbers, standard, start_of, table, train
from learning.examples import Data, Examples
from learning.specs import OptimizerSpec

SHOWN = (0, 1, 2, 4, 8, 16, 32)
ENDS = (17.0, 43.0)


def draw(epochs: int = 40, rate: float = 0.07, seed: int = 12) -> str:
    bmi, progression = table("diabetes", ["bmi"], "progression")
    rows = Examples(standard(bmi), standard(progression))
    spec = member(optimizer=OptimizerSpec("gd", rate), epochs=epochs, seed=seed)
    (course,) = train([spec], Data(numbers(), rows), follow=True)
    weights = [start_of(spec, inputs=1, outputs=1), *course.weights]
    lines = [(each["layers.0.weight"].item(), each["layers.0.bias"].item()) for each in weights]
    best = (rows.inputs * rows.targets).mean().item()  # of standardised numbers: the slope is their correlation
    losses = [(rows.inputs * a + b - rows.targets).square().mean().item() for a, b in lines]

    drawing = Drawing(760, 320, "A linear regression by gradient descent, and its loss")
    left = Panel(drawing, (44, 40, 400, 230), ENDS, (0, 360))
    left.title("The line after 0, 1, 2, 4 … epochs")
    left.x_axis("body mass index", [(x, str(x)) for x in range(20, 45, 5)])
    left.y_axis("", [(y, str(y)) for y in range(0, 400, 100)])
    left.dots(zip(bmi[:, 0].tolist(), progression[:, 0].tolist(), strict=True), INK, 1.6, 0.45)
    x, y = bmi.double(), progression.double()

    def drawn(a: float, b: float) -> list[tuple[float, float]]:
        scaled = [(end - x.mean().item()) / x.std(correction=0).item() for end in ENDS]
        return [
            (end, (a * z + b) * y.std(correction=0).item() + y.mean().item())
            for end, z in zip(ENDS, scaled, strict=True)
        ]

    for place, epoch in enumerate(SHOWN):
        colour = blend(place / (len(SHOWN) - 1), ORANGE, BLUE)
        left.line(drawn(*lines[min(epoch, epochs)]), colour, 2.2)
    left.line(drawn(best, 0.0), INK, 1.6, dash="2 5")

    right = Panel(drawing, (500, 40, 250, 230), (0, epochs), (0, losses[0] * 1.05))
    right.title("The loss on the way")
    right.x_axis("epoch", [(epoch, str(epoch)) for epoch in range(0, epochs + 1, 10)])
    right.y_axis("", [(loss, str(loss)) for loss in range(1 + int(losses[0]))])
    right.line([(0, 1 - best**2), (epochs, 1 - best**2)], INK, 1.6, dash="2 5")
    right.line(enumerate(losses), BLUE, 1.2, 0.5)
    for place, epoch in enumerate(SHOWN):
        at, colour = (epoch, losses[min(epoch, epochs)]), blend(place / (len(SHOWN) - 1), ORANGE, BLUE)
        right.dots([at], colour, 4)
        x_pixel, y_pixel = right.at(at)
        drawing.text((x_pixel + 8, y_pixel + (-4 if epoch > 4 else 4)), str(epoch), "s", colour=colour)
    drawing.text((right.left + right.width, right.up(1 - best**2) + 15), "by formula", "s", anchor="end")
    return str(drawing)
