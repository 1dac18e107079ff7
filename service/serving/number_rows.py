"""Rows of nothing but numbers, read from a body of JSON without an object for each: a quarter of the time.

Such rows are what large requests hold. Whatever else a body may hold, and whatever may be wrong with it, is left to
`strict_json` and `instances`, which read all of it and say what is wrong.
"""

from collections.abc import Iterable, Sequence, Sized
from typing import Any, cast

import numpy as np
import simdjson
import torch

from learning.cells import Cells, Row
from service.serving.instances import LARGEST, Input

FEWEST_BYTES = 2_048  # below, objects are as fast

_NESTED = (simdjson.Object, simdjson.Array)


def read(body: bytes, inputs: Sequence[Input], names: frozenset[str]) -> tuple[dict[str, Any], Cells | Row] | None:
    """What stands beside the `instances`, each under one of these names, and the rows of a model whose inputs are all
    numbers. None where it is not plainly right.
    """
    if len(body) < FEWEST_BYTES or any(each["type"] != "numeric" for each in inputs):
        return None
    if body.find(b"{", body.find(b"{") + 1) >= 0:  # records
        return None
    try:
        found = simdjson.Parser().parse(body)
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
        if body.count(b"[") != len(rows) + 1 or {len(row) for row in cast(Iterable[Sized], rows)} != {width}:
            return None
        numbers = np.frombuffer(rows.as_buffer(of_type="d"), dtype=np.float64).reshape(-1, width)
    except (ValueError, TypeError, RuntimeError):
        return None
    if not len(numbers) or not (np.abs(numbers) <= LARGEST).all():
        return None
    if len(numbers) == 1:
        return asked, Row(numbers[0].tolist(), [])
    return asked, Cells(torch.from_numpy(numbers), torch.empty(len(numbers), 0, dtype=torch.int64))
