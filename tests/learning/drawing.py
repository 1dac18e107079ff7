"""What hypothesis draws for the laws of the engine: any population, of anything that a member may be asked to be."""

from dataclasses import replace

import torch
from hypothesis import strategies as st

from learning.examples import Data, Examples
from learning.specs import (
    ACTIVATIONS,
    INITIALIZATIONS,
    LOSSES_OF_TASK,
    NORMALIZATIONS,
    OPTIMIZERS,
    SCHEDULES,
    EarlyStoppingSpec,
    EmbeddingSpec,
    LayerSpec,
    MemberSpec,
    NetworkSpec,
    OptimizerSpec,
    ScheduleSpec,
)
from tests.learning.trials import examples, target

WIDTHS = st.sampled_from([1, 3, 7, 16, 20, 33])
LAYERS = st.builds(
    LayerSpec,
    units=WIDTHS,
    activation=st.sampled_from(ACTIVATIONS),
    dropout=st.sampled_from([0.0, 0.0, 0.2, 0.5]),
    normalization=st.sampled_from([None, None, *NORMALIZATIONS]),
)
EMBEDDINGS = st.builds(EmbeddingSpec, categories=st.integers(2, 40), units=st.sampled_from([1, 2, 8, 16]))


def population(data) -> tuple[list[MemberSpec], list[Data]]:
    """Members of one task on folds of one table: of several shapes, batches, losses and optimizers."""
    task = data.draw(st.sampled_from(sorted(LOSSES_OF_TASK)))
    width = 1 if task == "binary" else data.draw(st.sampled_from([2, 3, 7, 17]))
    inputs = data.draw(WIDTHS)
    tables = tuple(data.draw(st.lists(EMBEDDINGS, max_size=2)))
    measured, weighted = data.draw(st.booleans()), data.draw(st.booleans())
    counts = data.draw(st.lists(st.integers(2, 60), min_size=1, max_size=3))
    folds = []
    for fold, rows in enumerate([*counts, counts[0]]):
        found = [
            _looked_up(examples(task, each, inputs, width, seed=2 * fold + part), tables)
            for part, each in enumerate((rows, 20 + fold))
        ]
        train, validation = map(_weighted, found) if weighted else found
        folds.append(Data(target(task, width), train, validation if measured else None, tables))

    def some(strategy):
        """One or two of them, for members to differ in."""
        return st.sampled_from(data.draw(st.lists(strategy, min_size=1, max_size=2)))

    networks = some(st.builds(NetworkSpec, st.lists(LAYERS, max_size=3).map(tuple)))
    batches, optimizers = some(st.sampled_from([1, 5, 32, 91, None])), some(st.sampled_from(OPTIMIZERS))
    losses, smoothings = some(st.sampled_from(LOSSES_OF_TASK[task])), some(st.sampled_from([0.0, 0.1]))
    initializations, nesterov = some(st.sampled_from(INITIALIZATIONS)), some(st.booleans())
    specs, own = [], []
    for index in range(data.draw(st.integers(2, 7))):
        name = data.draw(optimizers)
        rate = 0.01 * (1 + index % 5)
        specs.append(
            MemberSpec(
                index=index,
                seed=data.draw(st.sampled_from([index, 4])),
                network=data.draw(networks),
                optimizer=OptimizerSpec(name, rate, nesterov=name in ("gd", "sgd") and data.draw(nesterov)),
                loss=data.draw(losses),
                epochs=2,
                batch_size=data.draw(batches),
                initialization=data.draw(initializations),
                label_smoothing=data.draw(smoothings),
            )
        )
        own.append(data.draw(st.sampled_from(folds)))
    return differing(data, specs), own


def _looked_up(found: Examples, tables: tuple[EmbeddingSpec, ...]) -> Examples:
    """With a column of indices for each table behind the inputs."""
    random = torch.Generator().manual_seed(found.rows)
    codes = [torch.randint(each.categories, (found.rows, 1), generator=random).to(found.inputs) for each in tables]
    return replace(found, inputs=torch.cat([found.inputs, *codes], 1))


def _weighted(found: Examples) -> Examples:
    weights = torch.rand(found.rows, dtype=torch.float64, generator=torch.Generator().manual_seed(found.rows))
    return replace(found, weights=weights * (weights > 0.1))


def differing(data, specs: list) -> list:
    """The members, each with numbers of its own where members may differ."""
    decay, limit = st.sampled_from([0.0, 0.01, 0.3]), st.sampled_from([None, 0.05, 1.0])
    schedules = st.sampled_from([ScheduleSpec(name, **SCHEDULES[name]) for name in SCHEDULES])
    stopping = st.sampled_from([None, EarlyStoppingSpec(1), EarlyStoppingSpec(1, min_delta=5.0)])
    betas = st.sampled_from([(0.9, 0.999), (0.5, 0.9)])
    found = []
    for spec in specs:
        momentum = st.sampled_from([0.0, 0.5, 0.9] if spec.optimizer.name in ("gd", "sgd", "rmsprop") else [0.0])
        own = {"momentum": data.draw(momentum), "weight_decay": data.draw(decay), "clip_norm": data.draw(limit)}
        optimizer = replace(spec.optimizer, betas=data.draw(betas), **own)
        schedule = data.draw(schedules)
        if spec.epochs > 1 and schedule.name != "one_cycle":
            schedule = replace(schedule, warmup_epochs=data.draw(st.integers(0, 1)))
        stops = {"schedule": schedule, "early_stopping": data.draw(stopping)}
        found.append(replace(spec, optimizer=optimizer, epochs=spec.epochs + data.draw(st.integers(0, 2)), **stops))
    return found
