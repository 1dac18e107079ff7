"""Random numbers as functions: of a seed, a purpose and a place, never of what was drawn before.

A key of 64 bits is made from (purpose, seed, whatever else names the draw); number i under that key is an integer hash
of i. So any number can be had at any time, alone or among many, with no generator's state to carry, and it is the same
on every device: int32 arithmetic knows no rounding.
"""

import math
from collections.abc import Sequence
from hashlib import blake2b

import torch
from torch import Tensor

# The two multipliers of lowbias32 (Chris Wellons, "Prospecting for Hash Functions", 2018), as signed 32-bit numbers.
_FIRST = 0x7FEB352D
_SECOND = 0x846CA68B - 2**32

HASHED_AT_ONCE = 1 << 15  # numbers whose hashes are held at a time while orders are drawn


def key(purpose: str, seed: int, *place: int) -> tuple[int, int]:
    """Two signed 32-bit integers that stand for this draw. Python's own `hash` is salted: never."""
    text = ":".join((purpose, str(seed), *map(str, place)))
    digest = blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little", signed=True), int.from_bytes(digest[4:], "little", signed=True)


def bits(keys: Sequence[tuple[int, int]], counters: Tensor) -> Tensor:
    """`counters` [n] int32 → [len(keys), n] int32; under one key, different counters give different numbers."""
    pairs = torch.tensor(keys, dtype=torch.int32, device=counters.device)
    mixed = _mix(counters ^ pairs[:, :1])
    return _mix(mixed.add_(pairs[:, 1:]))


def _mix(x: Tensor) -> Tensor:
    """A bijection of the 32-bit integers in which each input bit sways each output bit."""
    x = x ^ _shift(x, 16)
    x.mul_(_FIRST)
    x.bitwise_xor_(_shift(x, 15))
    x.mul_(_SECOND)
    return x.bitwise_xor_(_shift(x, 16))


def _shift(x: Tensor, places: int) -> Tensor:
    """To the right with zeros coming in: torch repeats the sign of an int32."""
    return (x >> places).bitwise_and_((1 << (32 - places)) - 1)


def uniform(keys: Sequence[tuple[int, int]], counters: Tensor) -> Tensor:
    """Strictly between 0 and 1, in steps of 2^-23, float64 [len(keys), n]; a float32 holds them exactly."""
    return _shift(bits(keys, counters), 9).double().add_(0.5).mul_(2.0**-23)


def normal(keys: Sequence[tuple[int, int]], counters: Tensor) -> Tensor:
    """Mean 0 and variance 1, float64 [len(keys), n], after Box and Muller: √(-2 ln u) · cos(2π v)."""
    radius = uniform(keys, counters * 2).log_().mul_(-2.0).sqrt_()
    return uniform(keys, counters * 2 + 1).mul_(2.0 * math.pi).cos_().mul_(radius)


def permutations(
    keys: Sequence[tuple[int, int]], count: int, device: torch.device | None = None, out: Tensor | None = None
) -> Tensor:
    """[len(keys), count] int32 or as `out` is, each row an order of 0 … count-1: the places sorted by their hashes.

    The hash is a bijection, so there are no ties, and of a long row alone torch sorts by radix.
    """
    places = torch.arange(count, dtype=torch.int32, device=device)
    orders = places.new_empty(len(keys), count) if out is None else out
    at_once = max(1, HASHED_AT_ONCE // count)
    for first in range(0, len(keys), at_once):
        for order, hashes in zip(orders[first:], bits(keys[first : first + at_once], places), strict=False):
            order.copy_(torch.argsort(hashes, stable=True))
    return orders
