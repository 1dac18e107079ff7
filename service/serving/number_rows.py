"""Rows of nothing but numbers, read from a body of JSON without an object for each: a quarter of the time.

Such rows are what large requests hold. Whatever else a body may hold, and whatever may be wrong with it, is left to
`strict_json` and `instances`, which read all of it and say what is wrong.
"""

import threading
from collections.abc import Iterable, Sized
from typing import Any, cast

import numpy as np
import simdjson
import torch

from learning.cells import Cells, Row
from learning.model import Inputs
from service.serving.instances import LARGEST

FEWEST_BYTES = 2_048  # below, objects are as fast

_BRACKET = ord("[")
_NESTED = (simdjson.Object, simdjson.Array)
KEPT_BYTES = 128 << 10  # of the largest body that a parser is kept after: it keeps room for as much as it has read


class _Kept(threading.local):
    """A thread's parser, whose room need not be had of the system, page by page, for every body."""

    def __init__(self) -> None:
        self.parser = simdjson.Parser()


_kept = _Kept()


def read(body: bytes, inputs: Inputs, names: frozenset[str]) -> tuple[dict[str, Any], Cells | Row] | None:
    """What stands beside the `instances`, each under one of these names, and the rows of a model whose inputs are all
    numbers. None where it is not plainly right.
    """
    if len(body) < FEWEST_BYTES or not inputs.are_numbers:
        return None
    if body.find(b"{", body.find(b"{") + 1) >= 0:  # records
        return None
    try:
        found = (_kept.parser if len(body) <= KEPT_BYTES else simdjson.Parser()).parse(body)
        if not isinstance(found, simdjson.Object):
            return None
        keys = list(found.keys())
        if len(set(keys)) != len(keys) or not names >= set(keys):
            return None
        asked = {key: found[key] for key in keys}
        rows = asked.pop("instances", None)
        if not isinstance(rows, simdjson.Array) or any(isinstance(each, _NESTED) for each in asked.values()):
            return None
        width = len(inputs)
        # The names hold no bracket, so these are all the arrays that there are.
        arrays = np.count_nonzero(np.frombuffer(body, np.uint8) == _BRACKET)
        if arrays != len(rows) + 1 or {len(row) for row in cast(Iterable[Sized], rows)} != {width}:
            return None
        numbers = np.frombuffer(rows.as_buffer(of_type="d"), dtype=np.float64).reshape(-1, width)
    except (ValueError, TypeError, RuntimeError):
        return None
    if not len(numbers) or not (numbers.min() >= -LARGEST and numbers.max() <= LARGEST):
        return None
    if len(numbers) == 1:
        return asked, Row(numbers[0].tolist(), [])
    return asked, Cells(torch.from_numpy(numbers), torch.empty(len(numbers), 0, dtype=torch.int64))
