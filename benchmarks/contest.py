"""An epoch of ours beside an epoch of others: the same rows and network, losses alike, timed in turn."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from benchmarks.report import Figure, table
from benchmarks.timing import medians

ROUNDS = 9
LIMIT = 25.0  # seconds that one contestant is timed for, at most
ALIKE = 0.2  # of the larger loss


class Contestant(Protocol):
    networks: int  # that an epoch is an epoch of
    learns_by: str

    def epoch(self) -> object:
        """Train each network for an epoch."""

    def loss(self) -> float:
        """Of the train rows under the weights as they are, the mean over the networks."""


def contest(
    what: str, ours: Mapping[str, Contestant], rivals: Mapping[str, Sequence[Contestant]], *, warm_up: int
) -> Iterator[str]:
    """Lines of Markdown: a table of each of ours beside each rival, whose fastest variant counts.

    Raises RuntimeError where the losses after `warm_up` epochs, which are not timed, say that it is not the same work.
    """
    every = {f"learnd {name}": contestant for name, contestant in ours.items()}
    every |= {f"{name} {place}": variant for name, variants in rivals.items() for place, variant in enumerate(variants)}
    for _ in range(warm_up):
        for contestant in every.values():
            contestant.epoch()
    losses = {name: contestant.loss() for name, contestant in every.items()}
    comparable = [losses[name] for name, contestant in every.items() if contestant.learns_by == "Adam"]
    if max(comparable) - min(comparable) > ALIKE * max(comparable):
        raise RuntimeError(f"these do not do the same work, for their losses differ: {losses}")
    times = medians({name: contestant.epoch for name, contestant in every.items()}, ROUNDS, LIMIT)
    yield from table(_figures(what, ours, rivals, times))
    yield ""
    told = [f"{name} {losses[f'learnd {name}']:.3f}" for name in ours]
    told += [f"{name} {losses[f'{name} 0']:.3f}{_unless_adam(variants[0])}" for name, variants in rivals.items()]
    epochs = "one epoch" if warm_up == 1 else f"{warm_up} epochs"
    yield f"Loss of the train rows after {epochs}: learnd, {', '.join(told)}."


def _figures(
    what: str,
    ours: Mapping[str, Contestant],
    rivals: Mapping[str, Sequence[Contestant]],
    times: Mapping[str, float],
) -> Iterator[Figure]:
    for name, contestant in ours.items():
        taken = times[f"learnd {name}"]
        for rival, variants in rivals.items():
            each = [times[f"{rival} {place}"] / variant.networks for place, variant in enumerate(variants)]
            theirs = min(each) * contestant.networks
            best = variants[each.index(min(each))]
            yield Figure(f"{what}, {name}", _milliseconds(taken), f"{_milliseconds(theirs)}: {best}", theirs / taken)


def _unless_adam(contestant: Contestant) -> str:
    return "" if contestant.learns_by == "Adam" else f" (by {contestant.learns_by})"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms"
