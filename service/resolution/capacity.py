"""What a run would need against what there is: a run that eats the machine is refused before it is queued."""

import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from learning.estimate import memory_bytes
from learning.specs import overrides_of
from learning.vocabulary import LIMIT
from service.problems import Invalid
from store.datasets import Dataset
from store.settings import Settings

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def check(spec: Mapping[str, Any], dataset: Dataset, rows: Mapping[str, int], outputs: int, settings: Settings) -> int:
    """The run's memory estimate in bytes. Raises Invalid where weights or memory would be too many."""
    members = len(overrides_of(spec))
    where = "members" if spec["members"] else "sweep" if members > 1 else "network"
    inputs = input_width(dataset, spec["features"])
    parameters = members * _parameters([inputs, *(layer["units"] for layer in spec["network"]["layers"]), outputs])
    if parameters > settings.max_parameters:
        raise Invalid({where: f"at most {settings.max_parameters} weights in all; this needs {parameters}"})
    needed = memory_bytes(spec, sum(rows.values()), inputs, outputs)
    there = settings.max_memory_bytes or machine_memory()
    if needed > there:
        raise Invalid({where: f"a run that fits in {there} bytes of memory; this is estimated to need {needed}"})
    return needed


def input_width(dataset: Dataset, features: list[str]) -> int:
    """At most how many inputs these columns become, before the train rows are known."""
    columns = {column["name"]: column for column in dataset.columns}
    return sum(_width(columns[name]) for name in features)


def _width(column: Mapping[str, Any]) -> int:
    missing = int(column["missing"] > 0)
    if column["type"] == "categorical":
        return min(int(column["distinct"]), LIMIT) + 1 + missing
    return 1 + missing


def _parameters(widths: list[int]) -> int:
    return sum((inputs + 1) * units for inputs, units in pairwise(widths))


def machine_memory() -> int:
    """What this machine has, or this container may use."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(physical, int(_CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # no such limit: "max", or another kind of system
        return physical
