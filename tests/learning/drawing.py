"""What hypothesis draws for the laws of the engine: anything that a member may be asked to be."""

from dataclasses import replace

import torch
from hypothesis import strategies as st

from learning.examples import Examples
from learning.specs import OPTIMIZERS, SCHEDULES, EarlyStoppingSpec, ScheduleSpec


def optimizers(data) -> dict:
    """What the members of one population share, as `trials.members` takes it."""
    name = data.draw(st.sampled_from(OPTIMIZERS))
    return {"optimizer": name, "nesterov": name in ("gd", "sgd") and data.draw(st.booleans())}


def weighted(data, found: Examples) -> Examples:
    if not data.draw(st.booleans()):
        return found
    weights = torch.rand(found.rows, dtype=torch.float64, generator=torch.Generator().manual_seed(found.rows))
    return replace(found, weights=weights * (weights > 0.1))


def differing(data, specs: list) -> list:
    """The members, each with numbers of its own where members may differ."""
    decay, limit = st.sampled_from([0.0, 0.01, 0.3]), st.sampled_from([None, 0.05, 1.0])
    momentum = st.sampled_from([0.0, 0.5, 0.9] if specs[0].optimizer.name in ("gd", "sgd", "rmsprop") else [0.0])
    schedules = st.sampled_from([ScheduleSpec(name, **SCHEDULES[name]) for name in SCHEDULES])
    stopping = st.sampled_from([None, EarlyStoppingSpec(1), EarlyStoppingSpec(1, min_delta=5.0)])
    betas = st.sampled_from([(0.9, 0.999), (0.5, 0.9)])
    found = []
    for spec in specs:
        own = {"momentum": data.draw(momentum), "weight_decay": data.draw(decay), "clip_norm": data.draw(limit)}
        optimizer = replace(spec.optimizer, betas=data.draw(betas), **own)
        schedule = data.draw(schedules)
        if spec.epochs > 1 and schedule.name != "one_cycle":
            schedule = replace(schedule, warmup_epochs=data.draw(st.integers(0, 1)))
        stops = {"schedule": schedule, "early_stopping": data.draw(stopping)}
        found.append(replace(spec, optimizer=optimizer, epochs=spec.epochs + data.draw(st.integers(0, 2)), **stops))
    return found
