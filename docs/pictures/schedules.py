"""What each schedule makes of a learning rate in the course of a training."""

from docs.pictures.svg import BLUE, Drawing, Panel
from learning.rates import factor
from learning.specs import ScheduleSpec

SHOWN = {
    "step": ScheduleSpec("step", every=30, factor=0.5),
    "exponential": ScheduleSpec("exponential", factor=0.97),
    "cosine": ScheduleSpec("cosine", warmup_epochs=10),
    "one_cycle": ScheduleSpec("one_cycle", rise=0.3, start=0.04, end=4e-6),
}


def draw(epochs: int = 100, steps: int = 4) -> str:
    drawing = Drawing(760, 176, "Four courses of a learning rate")
    for place, (name, schedule) in enumerate(SHOWN.items()):
        panel = Panel(drawing, (26 + 186 * place, 30, 164, 96), (0, epochs), (0, 1.08))
        panel.title(name + (" with warm-up" if schedule.warmup_epochs else ""))
        panel.x_axis("epoch", [(0, "0"), (epochs / 2, str(epochs // 2)), (epochs, str(epochs))])
        panel.y_axis("", [(0, "0"), (1, "1")] if place == 0 else [(0, ""), (1, "")])
        panel.line(((step / steps, factor(schedule, epochs, steps, step)) for step in range(epochs * steps)), BLUE, 2)
    return str(drawing)
