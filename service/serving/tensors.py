"""Tensors of the Open Inference Protocol v2, in JSON or in binary: read as columns, and written.

In binary the elements stand in row-major order and little-endian; a BOOL is one byte, an element of BYTES its length
in four bytes and then the bytes. Null, which only JSON can say, is a missing value, as NaN and an empty text are.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from learning.columns import CategoricalColumn, Column, NumericColumn
from service.json_pieces import Pieces, batches
from service.problems import Invalid, Malformed
from service.serving.slices import MOST_CELLS
from service.serving.tables import texts

DTYPES: Mapping[str, str] = {
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}

_AT_ONCE = 1 << 15  # values

LIMITS: Mapping[str, tuple[int | float, int | float]] = {
    **{f"INT{bits}": (-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64)},
    **{
        f"FP{bits}": (float(np.finfo(f"f{bits // 8}").min), float(np.finfo(f"f{bits // 8}").max))
        for bits in (16, 32, 64)
    },
}

_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "BOOL": ((bool,), "true, false or null"),
    "BYTES": ((str,), "text or null"),
    **{name: ((int,), "a whole number or null") for name in DTYPES if "INT" in name},
    **{name: ((int, float), "a number or null") for name in DTYPES if "FP" in name},
}


@dataclass(frozen=True, eq=False)
class Tensor:
    """`values` are its elements in row-major order: floats with NaN for null, or bools and texts with None for it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: NDArray[np.float64] | NDArray[np.uint8] | Sequence[bool | None] | Sequence[str | None]

    @property
    def is_numeric(self) -> bool:
        return self.datatype in DTYPES

    def column(self) -> Column:
        """Of a tensor [N] or [N, 1]."""
        if self.is_numeric:
            return NumericColumn(torch.from_numpy(np.asarray(self.values)))
        if self.datatype == "BYTES":
            return texts("" if each is None else str(each) for each in self.values)
        if isinstance(self.values, np.ndarray):
            return CategoricalColumn(torch.from_numpy(self.values.astype(np.int64)), (False, True))
        codes = [-1 if each is None else int(each) for each in self.values]
        return CategoricalColumn(torch.tensor(codes, dtype=torch.int64), (False, True))

    def columns(self) -> list[Column]:
        """Of a tensor of numbers [N, F]."""
        table = np.asarray(self.values).reshape(self.shape)
        return [NumericColumn(torch.from_numpy(table[:, place].copy())) for place in range(self.shape[1])]


def of_json(name: str, datatype: str, shape: tuple[int, ...], data: list[Any] | Pieces, at: str) -> Tensor:
    """Return the tensor of `data`, flat or nested as the shape is.

    Raises Invalid at `at`, the path of the data, or at an element's, and Malformed for a number outside the datatype.
    """
    if len(shape) and len(data) not in (shape[0], math.prod(shape)):
        raise Invalid({at: f"{math.prod(shape)} values, as the shape says"})
    kinds, allowed = _KINDS[datatype]
    parts: list[NDArray[np.float64]] = []
    others: list[Any] = []
    first = 0
    for _, batch in batches(data, _AT_ONCE):
        flat = _flat(batch, at)
        if not set(map(type, flat)) <= {*kinds, type(None)}:
            wrong = [place for place, each in enumerate(flat, first) if each is not None and type(each) not in kinds]
            raise Invalid({f"{at}.{place}": allowed for place in wrong[:100]})
        if datatype in DTYPES:
            parts.append(_numbers(flat, datatype, at, first))
        else:
            others += flat
        first += len(flat)
    if first != math.prod(shape):
        raise Invalid({at: f"{math.prod(shape)} values, as the shape says"})
    return Tensor(name, datatype, shape, np.concatenate([*parts, np.empty(0)]) if datatype in DTYPES else others)


def _flat(values: list[Any], at: str) -> list[Any]:
    while values and isinstance(values[0], list):
        if not all(isinstance(each, list) for each in values):
            raise Invalid({at: "values, or lists of them that are nested as the shape is"})
        values = list(chain.from_iterable(values))
    return values


def _numbers(values: list[Any], datatype: str, at: str, first: int) -> NDArray[np.float64]:
    least, most = LIMITS[datatype]
    found = _floats(values)
    # 2^63 - 1 is 2^63 as a float64: at the ends the values themselves are compared.
    for place in np.flatnonzero((found <= least) | (found >= most)).tolist():
        if not least <= values[place] <= most:
            kind = "a number" if datatype.startswith("FP") else "a whole number"
            raise Malformed(f"{at}.{place + first} is no {datatype}: {kind} from {least:.6g} to {most:.6g} is allowed.")
    return found


def _floats(values: list[Any]) -> NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)  # None becomes NaN
    except OverflowError:  # a whole number past float64
        most = 1 << 1023
        near = [
            math.nan if each is None else each if abs(each) < most else math.inf * (1 if each > 0 else -1)
            for each in values
        ]
        return np.array(near, dtype=np.float64)


def of_bytes(name: str, datatype: str, shape: tuple[int, ...], data: memoryview, at: str) -> Tensor:
    """Raises Invalid at `at` where there are not as many elements as the shape says, or a BOOL is neither 0 nor 1."""
    count = math.prod(shape)
    if datatype == "BYTES":
        return Tensor(name, datatype, shape, _texts(data, count, at))
    dtype = np.dtype(DTYPES.get(datatype, "u1"))
    if len(data) != count * dtype.itemsize:
        raise Invalid({at: f"{count * dtype.itemsize} bytes, as datatype and shape say"})
    if count > MOST_CELLS:
        raise Invalid({at: f"at most {MOST_CELLS} values"})
    elements = np.frombuffer(data, dtype)
    if datatype != "BOOL":
        return Tensor(name, datatype, shape, elements.astype(np.float64))
    if elements.max(initial=0) > 1:
        raise Invalid({at: "bytes of 0 and 1"})
    return Tensor(name, datatype, shape, elements)


def _texts(data: memoryview, count: int, at: str) -> list[str]:
    found: list[str] = []
    place = 0
    while place + 4 <= len(data) and len(found) < count:
        (length,) = struct.unpack_from("<I", data, place)
        end = place + 4 + length
        if end > len(data):
            break
        try:
            found.append(str(data[place + 4 : end], "utf-8"))
        except UnicodeDecodeError:
            raise Malformed(f"{at}: element {len(found)} is not UTF-8.") from None
        place = end
    if len(found) != count or place != len(data):
        raise Invalid({at: f"{count} elements, each of them its length in four bytes and then so many bytes"})
    return found


def written(values: Any, datatype: str) -> bytes:
    """The elements of an answer, [N] or [N, …], in binary."""
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(each)) + each for each in (text.encode() for text in values))
    return np.asarray(values, dtype=DTYPES.get(datatype, "?")).tobytes()
