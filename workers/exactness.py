"""Within which class of libraries, processor and device the same spec and seeds give the same bits."""

import platform
from functools import cache
from importlib.metadata import version

import torch

_LIBRARIES = ("learnd", "torch", "numpy")


def exactness(device: str) -> str:
    return f"torch {versions()['torch']}, {platform.machine()} {torch.backends.cpu.get_cpu_capability()}, {device}"


@cache
def versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}
