"""How a run's numbers are cut: into wide blocks while they come in, into long and narrow ones once they are old.

A report is a few epochs of all members, a curve all epochs of one: who writes would have blocks of the first shape, who
reads those of the second. So there are two tiers of blocks, and a stretch of epochs moves on when it is complete.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_OPEN_NUMBERS = 16_384  # about: 64 KiB of values to rewrite when an epoch is added
_SEALED_NUMBERS = 2_048  # 8 KiB: little to read for one member, and still much more than what a row costs by itself
_MOST_EPOCHS = 1_024  # in a block
_MOST_MOVED = 8  # open blocks that make one stretch of sealed ones: 512 KiB to move at once


@dataclass(frozen=True)
class Tier:
    """Blocks of `stretch` epochs and `width` members, the first of them at epoch 1 and member 0."""

    stretch: int
    width: int

    def first_epoch(self, epoch: int) -> int:
        """Where the block begins that holds this epoch."""
        return epoch - (epoch - 1) % self.stretch

    def whole(self, epochs: range) -> range:
        """These epochs and all others of the same blocks."""
        return range(self.first_epoch(epochs.start), self.first_epoch(epochs.stop - 1) + self.stretch)

    def blocks(self, epochs: range, members: range) -> Iterator[tuple[range, range]]:
        """The epochs and members of each block, of those that begin with the ranges given."""
        for epoch in range(epochs.start, epochs.stop, self.stretch):
            for member in self.first_members(members):
                yield (
                    range(epoch, min(epoch + self.stretch, epochs.stop)),
                    range(member, min(member + self.width, members.stop)),
                )

    def first_members(self, members: range) -> range:
        """Where the blocks begin that hold these members."""
        return range(members.start - members.start % self.width, members.stop, self.width)


def open_tier(members: int) -> Tier:
    """Where what comes in is merged, of a population of so many."""
    return Tier(max(1, min(_MOST_EPOCHS, _OPEN_NUMBERS // members)), members)


def sealed_tier(members: int) -> Tier | None:
    """Where complete stretches go; None if the blocks of the open tier are long already."""
    stretch = open_tier(members).stretch
    moved = min(_MOST_MOVED, _MOST_EPOCHS // stretch)
    return Tier(stretch * moved, max(1, _SEALED_NUMBERS // (stretch * moved))) if moved > 1 else None


def tiers(members: int) -> list[Tier]:
    """Both, or the one there is; the open one last."""
    sealed = sealed_tier(members)
    return [*([sealed] if sealed else []), open_tier(members)]
