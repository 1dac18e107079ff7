"""What must be kept of K members to go on exactly: tensors with K as their first axis, changed in place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from learning.patience import Patience

_GROUPS = ("moments", "patience")


@dataclass(frozen=True)
class Progress:
    """`kept` are the weights of the best epoch so far. A member that has ended stands still, failed ones at zero."""

    weights: Tensor  # [K, P]
    moments: dict[str, Tensor]  # each [K, trained]
    kept: Tensor  # [K, P]
    loss_sum: Tensor  # [K] float64: of this epoch's batch losses so far, each times its rows
    best_value: Tensor  # [K] float32
    best_epoch: Tensor  # [K] int64, 0 before the first
    ended: Tensor  # [K] int64: the epoch after which it trained no more, whatever was asked; 0 where there is none
    failed: Tensor  # [K] bool
    patience: Patience

    @classmethod
    def start(cls, weights: Tensor, trained: int, moments: Sequence[str]) -> "Progress":
        members, device = weights.shape[0], weights.device
        return cls(
            weights=weights,
            moments={name: weights.new_zeros(members, trained) for name in moments},
            kept=weights.clone(),
            loss_sum=torch.zeros(members, dtype=torch.float64, device=device),
            best_value=torch.full((members,), torch.inf, device=device),
            best_epoch=torch.zeros(members, dtype=torch.int64, device=device),
            ended=torch.zeros(members, dtype=torch.int64, device=device),
            failed=torch.zeros(members, dtype=torch.bool, device=device),
            patience=Patience.start(members, device),
        )

    def tensors(self) -> dict[str, Tensor]:
        named = {name: tensor for name, tensor in vars(self).items() if name not in _GROUPS}
        named |= {f"moments.{name}": tensor for name, tensor in self.moments.items()}
        return named | {f"patience.{name}": tensor for name, tensor in vars(self.patience).items()}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Progress":
        moments = {name.removeprefix("moments."): t for name, t in tensors.items() if name.startswith("moments.")}
        patience = Patience(**{each.name: tensors[f"patience.{each.name}"] for each in fields(Patience)})
        plain = {name: tensor for name, tensor in tensors.items() if "." not in name}
        return cls(moments=moments, patience=patience, **plain)

    def members(self, first: int, last: int) -> "Progress":
        """Views of some members: what is done to them is done here."""
        return self.of({name: tensor[first:last] for name, tensor in self.tensors().items()})

    def copies(self, places: Tensor) -> "Progress":
        return self.of({name: tensor[places] for name, tensor in self.tensors().items()})

    def take_back(self, copies: "Progress", places: Tensor) -> None:
        for tensor, copy in zip(self.tensors().values(), copies.tensors().values(), strict=True):
            tensor[places] = copy
