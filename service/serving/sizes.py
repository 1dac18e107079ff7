"""How much memory a thing holds: a model is more than its weights, with padded copies, tables and vocabularies."""

import sys
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor

TENSOR_BYTES = 600  # of a small tensor beside its numbers, as measured: the object, torch's own two, the allocator's
_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, torch.dtype)


def bytes_held(thing: object) -> int:
    """Of the thing and all that it is made of, each once; classes, functions and modules are everybody's."""
    seen: set[int] = set()
    storages: dict[int, int] = {}
    waiting: list[Any] = [thing]
    held = 0
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, _SHARED):
            continue
        seen.add(id(each))
        held += sys.getsizeof(each)
        if isinstance(each, Tensor):
            storage = each.untyped_storage()  # of a view, all that it keeps alive
            storages[storage.data_ptr()] = storage.nbytes() + TENSOR_BYTES
            continue
        if isinstance(each, Mapping):
            waiting += each.keys()
            waiting += each.values()
        elif isinstance(each, list | tuple | set | frozenset):
            waiting += each
        waiting.append(getattr(each, "__dict__", None))
        waiting.append(getattr(each, "base", None))  # of an array that is a view
    return held + sum(storages.values())
