"""The course of a learning rate: a factor on it for each step, a function of where the step stands and of nothing else.

With e the epochs since the warm-up ended (whole ones: a factor holds for an epoch), and E all epochs after it:

    constant      1
    step          factor^⌊e / every⌋
    exponential   factor^e
    cosine        floor + (1 - floor) (1 + cos(π e / E)) / 2
    one_cycle     step by step, along half cosines: from `start` to 1 in the first `rise` of all steps, then to `end`
    plateau       1, times the factor of `patience.py`

A warm-up of w epochs rises step by step: step t of its W has t / W.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from learning.specs import MemberSpec, ScheduleSpec


class Rates:
    """Of members in epochs of `steps` steps; `slowed` [K] float64 is what plateaus have made of each one's rate."""

    def __init__(self, specs: Sequence[MemberSpec], steps: int, slowed: Tensor) -> None:
        courses = [(spec.schedule, spec.epochs) for spec in specs]
        self.courses = list(dict.fromkeys(courses))
        self.of_member = [self.courses.index(course) for course in courses]
        self.steps = steps
        self.slowed = slowed
        self.constant = all(each.name == "constant" and not each.warmup_epochs for each, _ in self.courses)

    def factors(self, epoch: int, first: int, last: int) -> Tensor | None:
        """[last - first, K] float64 on the CPU for these steps (from 0) of `epoch` (from 1); None: they are all 1."""
        if self.constant:
            return None
        done = (epoch - 1) * self.steps
        table = [
            [factor(schedule, epochs, self.steps, step) for schedule, epochs in self.courses]
            for step in range(done + first, done + last)
        ]
        return torch.tensor(table, dtype=torch.float64)[:, self.of_member] * self.slowed.cpu()


def factor(schedule: ScheduleSpec, epochs: int, steps: int, step: int) -> float:
    """Of a step counted from 0, in `epochs` epochs of `steps` steps."""
    warmup = schedule.warmup_epochs * steps
    if step < warmup:
        return (step + 1) / warmup
    if schedule.name == "one_cycle":
        return _one_cycle(schedule, epochs * steps, step)
    epoch = step // steps - schedule.warmup_epochs
    if schedule.name == "step":
        return schedule.factor ** (epoch // schedule.every)
    if schedule.name == "exponential":
        return schedule.factor**epoch
    if schedule.name == "cosine":
        return _half_cosine(1.0, schedule.floor, epoch / (epochs - schedule.warmup_epochs))
    return 1.0


def _one_cycle(schedule: ScheduleSpec, total: int, step: int) -> float:
    """Smith and Topin 2018, with torch's cosines and its places of the peak and the end."""
    peak, end = schedule.rise * total - 1.0, total - 1.0
    if step <= peak:
        return _half_cosine(schedule.start, 1.0, step / peak) if peak > 0 else 1.0
    return _half_cosine(1.0, schedule.end, (step - peak) / (end - peak))


def _half_cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1.0 + math.cos(math.pi * share)) / 2.0
