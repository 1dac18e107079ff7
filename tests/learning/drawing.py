"""What hypothesis draws for the laws of the engine: anything that a member may be asked to be."""

from dataclasses import replace

from hypothesis import strategies as st

from learning.specs import OPTIMIZERS


def optimizers(data) -> dict:
    """What the members of one population share, as `trials.members` takes it."""
    name = data.draw(st.sampled_from(OPTIMIZERS))
    return {"optimizer": name, "nesterov": name in ("gd", "sgd") and data.draw(st.booleans())}


def differing(data, specs: list) -> list:
    """The members, each with numbers of its own where members may differ."""
    decay, limit = st.sampled_from([0.0, 0.01, 0.3]), st.sampled_from([None, 0.05, 1.0])
    momentum = st.sampled_from([0.0, 0.5, 0.9] if specs[0].optimizer.name in ("gd", "sgd", "rmsprop") else [0.0])
    betas = st.sampled_from([(0.9, 0.999), (0.5, 0.9)])
    found = []
    for spec in specs:
        own = {"momentum": data.draw(momentum), "weight_decay": data.draw(decay), "clip_norm": data.draw(limit)}
        found.append(replace(spec, optimizer=replace(spec.optimizer, betas=data.draw(betas), **own)))
    return found
