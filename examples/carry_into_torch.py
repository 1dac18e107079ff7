"""A network that learnd has trained, in PyTorch and without learnd: copy this file into a project of your own.

    curl -sf "$LEARND/v1/runs/$RUN/weights" -o iris.safetensors
    echo '{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}' |
        python carry_into_torch.py iris.safetensors

It needs torch and safetensors. `Carried.network` is a plain `torch.nn.Sequential`, to be trained further if you like;
`Carried.encode` makes its inputs of raw rows, and `Carried.predict` answers as the service does.
"""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

Row = Mapping[str, Any]  # a feature that is missing may be null or absent

ACTIVATIONS = {
    "identity": nn.Identity,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
}
DAY = 86_400.0  # seconds
PERIODS = {"year": 365.2425 * DAY, "week": 7 * DAY, "day": DAY}


class Carried:
    """What the file holds: one member's network, and how rows become its inputs and its outputs an answer."""

    def __init__(self, path: str | Path) -> None:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["learnd"])
        self.features = header["preprocessing"]["features"]
        self.farthest = 1e15 if header["preprocessing"]["scaling"] == "none" else 1e6
        self.target = header["target"]
        self.network = network_of(header["network"]["layers"], load_file(path))

    def encode(self, rows: Sequence[Row]) -> Tensor:
        """[N, F] float32: each feature's inputs side by side, and behind them the indices of learned embeddings."""
        dense: list[Tensor] = []
        indices: list[Tensor] = []
        for feature in self.features:
            values = [row.get(feature["name"]) for row in rows]
            if feature.get("ignored"):
                continue
            if feature["type"] == "datetime":
                dense += self._times(feature, values)
            elif feature["type"] != "categorical":
                numbers = [math.nan if value is None else float(value) for value in values]
                dense += self._number(feature, torch.tensor(numbers, dtype=torch.float64))
            elif feature["units"]:
                indices.append(torch.tensor(_indices(feature, values)))
            else:
                width = len(feature["categories"]) + 1 + feature["missing"]
                dense += nn.functional.one_hot(torch.tensor(_indices(feature, values)), width).unbind(1)
        return torch.stack([column.float() for column in (*dense, *indices)], dim=1)

    def _number(self, number: Mapping[str, Any], values: Tensor) -> list[Tensor]:
        """The scaled value, and 1 where it is missing, as far as the network was given them."""
        there = values.isfinite()
        scaled = (torch.where(there, values, number["fill"]) - number["shift"]) / number["scale"]
        scaled = scaled.clamp(-self.farthest, self.farthest)
        if number["clipped"]:
            scaled = scaled / (1 + (scaled / 3).square()).sqrt()
        return [scaled] * number["valued"] + [~there] * number["flagged"]

    def _times(self, feature: Mapping[str, Any], values: Sequence[str | None]) -> Iterator[Tensor]:
        seconds = torch.tensor([_seconds(value) for value in values], dtype=torch.float64)
        yield from self._number(feature["years"], seconds / PERIODS["year"])
        for period, length in PERIODS.items():  # in this order, whatever order JSON has kept the courses in
            angle = 2 * math.pi * (seconds / length).remainder(1)
            for wave, course in (("sine", angle.sin()), ("cosine", angle.cos())):
                if (mean := feature["courses"].get(f"{period}_{wave}")) is not None:
                    yield course.nan_to_num(mean)

    @torch.no_grad()
    def predict(self, rows: Sequence[Row]) -> list[Any]:
        """A number or a list of them, a class, or a list of booleans: what the run's target is."""
        outputs, target = self.network(self.encode(rows)).double(), self.target
        if target["task"] == "multilabel":
            return list((outputs > 0).tolist())
        if target["task"] == "regression":
            values = outputs.exp() if target["link"] == "log" else outputs
            scale, shift = torch.tensor([target["scale"], target["shift"]], dtype=torch.float64)
            values = values * scale + shift
            return list((values if isinstance(target["names"], list) else values[:, 0]).tolist())
        chosen = outputs[:, 0] > 0 if target["task"] == "binary" else outputs.argmax(1)
        return [target["classes"][int(index)] for index in chosen]


class LookedUp(nn.Module):
    """The last columns are indices: each becomes its row of a table."""

    def __init__(self, tables: Sequence[Tensor]) -> None:
        super().__init__()
        self.tables = nn.ModuleList(_filled(nn.Embedding(*table.shape), weight=table) for table in tables)

    def forward(self, inputs: Tensor) -> Tensor:
        dense = inputs.shape[1] - len(self.tables)
        found = [table(inputs[:, dense + place].long()) for place, table in enumerate(self.tables)]
        return torch.cat([inputs[:, :dense], *found], dim=1)


def network_of(layers: Sequence[Mapping[str, Any]], tensors: Mapping[str, Tensor]) -> nn.Sequential:
    """Of each hidden layer Linear, normalization, activation and dropout; the last Linear gives the outputs."""
    tables = [tensors[name] for name in sorted(tensors, key=_place) if name.startswith("embeddings.")]
    modules: list[nn.Module] = [LookedUp(tables)] if tables else []
    for index in range(len(layers) + 1):
        own = {name.split(".")[2]: t for name, t in tensors.items() if name.startswith(f"layers.{index}.")}
        inputs, units = own["weight"].shape
        modules.append(_filled(nn.Linear(inputs, units), weight=own["weight"].T, bias=own["bias"]))
        if index == len(layers):
            break
        layer = layers[index]
        if layer["normalization"] == "batch":
            running = {"running_mean": own["mean"], "running_var": own["var"]}
            modules.append(_filled(nn.BatchNorm1d(units), weight=own["scale"], bias=own["shift"], **running))
        elif layer["normalization"] == "layer":
            modules.append(_filled(nn.LayerNorm(units), weight=own["scale"], bias=own["shift"]))
        modules += [ACTIVATIONS[layer["activation"]](), nn.Dropout(layer["dropout"])]
    return nn.Sequential(*modules).eval()


def _filled(module: nn.Module, **tensors: Tensor) -> nn.Module:
    module.load_state_dict(tensors, strict=False)  # batch normalization also counts batches, which are over
    return module


def _place(name: str) -> int:
    return int(name.split(".")[1])


def _indices(feature: Mapping[str, Any], values: Sequence[Any]) -> list[int]:
    """The category's place; behind them one for the unknown, and one for the missing where training knew such."""
    unknown = len(feature["categories"])
    known = {value: place for place, value in enumerate(feature["categories"]) if place not in feature["unseen"]}
    return [unknown + feature["missing"] if value is None else known.get(value, unknown) for value in values]


def _seconds(text: str | None) -> float:
    if text is None:
        return math.nan
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


if __name__ == "__main__":
    answers = Carried(sys.argv[1]).predict([json.loads(line) for line in sys.stdin if line.strip()])
    sys.stdout.writelines(json.dumps(answer) + "\n" for answer in answers)
