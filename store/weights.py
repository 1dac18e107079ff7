"""Named arrays and a JSON header in one safetensors file: no code in it, and a bound on all that is read from it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from store.errors import StoreError

HEADER_KEY = "learnd"  # safetensors' metadata is string to string; ours is one JSON text under this key
MAX_HEADER_BYTES = 64 << 20
_PIECE = 1 << 20
_KINDS = {
    "float32": "F32",
    "float64": "F64",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "uint8": "U8",
    "bool": "BOOL",
}
MAX_TENSORS = 1 << 20  # 4,096 members may have as many shapes, each with a tensor or two for every layer


class BrokenWeights(StoreError):
    """Bytes that are no weights file of ours; the message says what is wrong with them."""


def pack(tensors: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> bytes:
    """One safetensors file; equal arguments give equal bytes. Raises as `stream` does."""
    return b"".join(stream(tensors, header))


def stream(tensors: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Iterator[memoryview]:
    """The same file in pieces of at most a mebibyte, of which none but the one at hand needs memory of its own.

    Raises ValueError for what JSON cannot say (NaN), and BrokenWeights for more than `unpack` would read again.
    """
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False)
    described: dict[str, Any] = {"__metadata__": {HEADER_KEY: text}}
    # The widest numbers first, so that each begins at a multiple of its width.
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    end = 0
    for name in names:
        begin, end = end, end + tensors[name].nbytes
        kind = _KINDS[tensors[name].dtype.name]
        described[name] = {"dtype": kind, "shape": tensors[name].shape, "data_offsets": [begin, end]}
    content = json.dumps(described, separators=(",", ":")).encode()
    content += b" " * (-len(content) % 8)
    _check(len(names), len(content))
    yield memoryview(len(content).to_bytes(8, "little") + content)
    for name in names:
        array = tensors[name]
        contiguous = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(-1)
        seen = contiguous.view(np.uint8).data
        for start in range(0, len(seen), _PIECE):
            yield seen[start : start + _PIECE]


def unpack(content: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays (own, writable memory) and the header of `pack`. Raises BrokenWeights before making anything large."""
    described = _described(content)
    metadata = described.pop("__metadata__", None)
    _check(len(described), 0)
    if not isinstance(metadata, dict) or not isinstance(metadata.get(HEADER_KEY), str):
        raise BrokenWeights(f"no {HEADER_KEY!r} header")
    try:
        header = json.loads(metadata[HEADER_KEY])
        arrays = safetensors.numpy.load(content)
    except (ValueError, KeyError, TypeError, RecursionError, safetensors.SafetensorError) as error:
        raise BrokenWeights(str(error)) from error
    if not isinstance(header, dict):
        raise BrokenWeights("the header is no JSON object")
    # safetensors hands out views of the file's read-only bytes, which torch cannot take without a warning.
    return {name: array if array.flags.writeable else array.copy() for name, array in arrays.items()}, header


def _described(content: bytes) -> dict[str, Any]:
    """The safetensors header itself: a little-endian length of 8 bytes, then JSON."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > len(content) - 8:
        raise BrokenWeights("cut short")
    _check(0, length)
    try:
        described = json.loads(content[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise BrokenWeights("its header is not JSON") from error
    if not isinstance(described, dict):
        raise BrokenWeights("its header is no JSON object")
    return described


def _check(tensors: int, header_bytes: int) -> None:
    if tensors > MAX_TENSORS:
        raise BrokenWeights(f"{tensors} tensors, more than {MAX_TENSORS}")
    if header_bytes > MAX_HEADER_BYTES:
        raise BrokenWeights(f"a header of {header_bytes} bytes, more than {MAX_HEADER_BYTES}")
