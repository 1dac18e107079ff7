"""Who can be stacked with whom: members of one shape, trained by one kind of step on equally many rows, form a group.

Groups are a matter of speed alone. A member is the same in every company, so nobody but the engine hears of them.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from learning.batches import PaddedExamples, Plan
from learning.evaluation import BlockedExamples, Measured
from learning.examples import Data, Examples
from learning.layout import Layout
from learning.losses import Loss, loss_of
from learning.specs import MemberSpec


@dataclass(frozen=True, eq=False)
class Group:
    """`places` [K] are its members' in the run; `sources` [K] which rows of `train` each one is trained on."""

    places: tuple[int, ...]
    specs: tuple[MemberSpec, ...]
    layout: Layout
    plan: Plan
    loss: Loss
    train: PaddedExamples
    sources: tuple[int, ...]
    measured: tuple[Measured | None, ...]  # members of one source share the very same


def groups_of(members: Sequence[MemberSpec], data: Sequence[Data]) -> list[Group]:
    """In the order of each group's first member; inside, members of one source stand side by side."""
    kinds: dict[Hashable, list[int]] = {}
    for place, (spec, own) in enumerate(zip(members, data, strict=True)):
        kinds.setdefault(_kind(spec, own), []).append(place)
    padded: dict[tuple[int, ...], PaddedExamples] = {}
    measured: dict[int, Measured] = {}
    return [_group(places, members, data, padded, measured) for places in kinds.values()]


def _kind(spec: MemberSpec, data: Data) -> Hashable:
    train = data.train
    return (
        (spec.network, spec.initialization, spec.loss, spec.label_smoothing, spec.batch_size),
        (spec.optimizer.name, spec.optimizer.nesterov),
        (train.rows, train.inputs.shape[1], data.embeddings, data.target.width),
        (train.weights is not None, data.validation is not None),
    )


def _group(
    places: Sequence[int],
    members: Sequence[MemberSpec],
    data: Sequence[Data],
    padded: dict[tuple[int, ...], PaddedExamples],
    measured: dict[int, Measured],
) -> Group:
    """`padded` and `measured` are what other groups have made of the same rows."""
    trains: list[Examples] = list({id(data[place].train): data[place].train for place in places}.values())
    identities = tuple(map(id, trains))
    if identities not in padded:
        padded[identities] = PaddedExamples.of(trains)
    for place in places:
        own = data[place]
        if own.validation is not None and id(own.validation) not in measured:
            measured[id(own.validation)] = Measured(own.target, BlockedExamples.of(own.validation))
    source = {place: identities.index(id(data[place].train)) for place in places}
    places = sorted(places, key=lambda place: (source[place], place))
    first, own = members[places[0]], data[places[0]]
    return Group(
        places=tuple(places),
        specs=tuple(members[place] for place in places),
        layout=Layout.of(first.network, own.train.inputs.shape[1], own.target.width, own.embeddings),
        plan=Plan.of(own.train.rows, first.batch_size),
        loss=loss_of(first.loss, first.label_smoothing),
        train=padded[identities],
        sources=tuple(source[place] for place in places),
        measured=tuple(measured.get(id(data[place].validation)) for place in places),
    )
