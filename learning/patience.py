"""What follows when a member's validation loss no longer falls: it stops, or its learning rate does not stay.

    early stopping   an epoch is an improvement if its loss is below the reference by more than min_delta, and is the
                     reference then; after `patience` epochs without one in a row, the member has ended
    plateau          an improvement is below the reference by more than the share `threshold` of its size; after more
                     than `patience` epochs without one the learning rate is multiplied by `factor`, and the counting
                     begins anew

Which weights are kept is another matter: those of the lowest loss, by however little.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from learning.specs import MemberSpec

NEVER = 2**62  # epochs


@dataclass(frozen=True)
class Patience:
    """What is remembered of K members, changed in place."""

    reference: Tensor  # [K] float64
    waited: Tensor  # [K] int64, epochs since
    plateau_reference: Tensor  # [K] float64
    plateau_waited: Tensor  # [K] int64
    slowed: Tensor  # [K] float64: the product of all factors so far

    @classmethod
    def start(cls, members: int, device: torch.device) -> "Patience":
        def full(value: float, dtype: torch.dtype = torch.float64) -> Tensor:
            return torch.full((members,), value, dtype=dtype, device=device)

        return cls(full(torch.inf), full(0, torch.int64), full(torch.inf), full(0, torch.int64), full(1.0))


class Judge:
    """Looks at the losses [K] of an epoch's end."""

    def __init__(self, specs: Sequence[MemberSpec], patience: Patience) -> None:
        self.patience = patience
        stopping = [spec.early_stopping for spec in specs]
        self.stops = any(stopping)
        self.slows = any(spec.schedule.name == "plateau" for spec in specs)
        device = patience.slowed.device

        def numbers(found: Sequence[float], dtype: torch.dtype = torch.float64) -> Tensor:
            return torch.tensor(found, dtype=dtype, device=device)

        self.deltas = numbers([each.min_delta if each else 0.0 for each in stopping])
        self.limits = numbers([each.patience if each else NEVER for each in stopping], torch.int64)
        schedules = [spec.schedule for spec in specs]
        patient = [each.patience if each.name == "plateau" else NEVER for each in schedules]
        self.plateaus = numbers(patient, torch.int64)
        thresholds = numbers([each.threshold for each in schedules])
        self.needed = 1.0 - thresholds  # of a reference above zero
        self.needed_below = 1.0 + thresholds  # of one below zero, which is to become larger in size
        self.factors = numbers([each.factor for each in schedules])

    def ended(self, losses: Tensor) -> Tensor | None:
        """[K] bool: whose patience is at its end; None where nobody's can be. Slows down whom it slows down."""
        now, kept = losses.double(), self.patience
        if self.slows:
            reference = kept.plateau_reference
            better = now < reference * torch.where(reference < 0, self.needed_below, self.needed)
            _count(better, self.plateaus < NEVER, now, kept.plateau_reference, kept.plateau_waited)
            slower = kept.plateau_waited > self.plateaus
            kept.slowed.copy_(torch.where(slower, kept.slowed * self.factors, kept.slowed))
            kept.plateau_waited.masked_fill_(slower, 0)
        if not self.stops:
            return None
        _count(now < kept.reference - self.deltas, self.limits < NEVER, now, kept.reference, kept.waited)
        return kept.waited >= self.limits


def _count(better: Tensor, asked: Tensor, now: Tensor, reference: Tensor, waited: Tensor) -> None:
    """Only for those who are `asked` for it: what is remembered of a member must not depend on its company."""
    better = better & asked
    reference.copy_(torch.where(better, now, reference))
    waited.add_(asked).masked_fill_(better, 0)
