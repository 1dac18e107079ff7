"""What becomes of members: how far each has come, and the weights that are kept of it."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from learning.layout import Layout
from learning.specs import MemberSpec
from learning.weights import member_sha256, slice_member, tensors_of


@dataclass(frozen=True)
class MemberProgress:
    index: int
    status: str  # running, succeeded or failed
    epoch: int
    best: dict[str, Any] | None  # {"epoch", "metric", "value"}
    error: str | None


@dataclass(frozen=True, eq=False)
class Stack:
    """Members of one shape and their weights."""

    members: tuple[MemberSpec, ...]
    layout: Layout
    kept: Tensor  # [K, P], padded

    def tensors(self) -> dict[str, Tensor]:
        """By name, as `weights.tensors_of` says, each [K, ...], unpadded, on the CPU."""
        return tensors_of(self.layout, self.kept.cpu())


@dataclass(frozen=True, eq=False)
class Trained:
    """What the members learned: the weights of each one's best epoch, or of the last without validation."""

    stacks: tuple[Stack, ...]

    def tensors(self, member: int) -> dict[str, Tensor]:
        """One member's by name, unpadded, on the CPU."""
        stack, place = next(
            (stack, place) for stack in self.stacks for place, spec in enumerate(stack.members) if spec.index == member
        )
        return slice_member(tensors_of(stack.layout, stack.kept[place : place + 1].cpu()), 0)

    def sha256(self, member: int) -> str:
        return member_sha256(self.tensors(member))
