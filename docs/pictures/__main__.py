"""Draw every picture of docs/learning.md into the folder of this file."""

from collections.abc import Callable
from pathlib import Path

from docs.pictures import activations, descent, regions, regression, schedules, signals, stopping, sweep

PICTURES: dict[str, Callable[[], str]] = {
    "activations": activations.draw,
    "descent": descent.draw,
    "regions": regions.draw,
    "regression": regression.draw,
    "schedules": schedules.draw,
    "signals": signals.draw,
    "stopping": stopping.draw,
    "sweep": sweep.draw,
}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (Path(__file__).parent / f"{name}.svg").write_text(draw())
