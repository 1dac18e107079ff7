"""A network that learnd has trained, as torch modules alone: what the rivals of `serving` serve. Needs nothing of ours.

For networks of numeric features without missing values, scaled to mean 0 and deviation 1, and one number as answer.
"""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn


class Plain(nn.Module):
    def __init__(self, path: Path) -> None:
        super().__init__()
        with safe_open(path, "pt") as file:
            header = json.loads(file.metadata()["learnd"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        features, target = header["preprocessing"]["features"], header["target"]
        if any(feature.get("type") != "numeric" or feature["clipped"] or feature["flagged"] for feature in features):
            raise ValueError("plain networks are of standardised numbers that are all there")
        for name in ("shift", "scale"):
            self.register_buffer(name, torch.tensor([feature[name] for feature in features], dtype=torch.float64))
        self.back = target["scale"][0], target["shift"][0]
        modules: list[nn.Module] = []
        for index in range(len(header["network"]["layers"]) + 1):
            weight, bias = tensors[f"layers.{index}.weight"], tensors[f"layers.{index}.bias"]
            modules += [nn.Linear(*weight.shape), nn.ReLU()]
            modules[-2].load_state_dict({"weight": weight.T, "bias": bias})
        self.layers = nn.Sequential(*modules[:-1]).eval()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """[N, F] float64 → [N] float64."""
        scaled = ((rows - self.shift) / self.scale).float()
        scale, shift = self.back
        return self.layers(scaled).double()[:, 0] * scale + shift
