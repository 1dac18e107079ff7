"""`Preprocessing.encode` of one row, number by number: the same arithmetic, in the same order, on Python's float64.

Where times are among the features their courses are computed by torch, and so is the row.
"""

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import sub, truediv

from learning.cells import Row
from learning.numeric import Number
from learning.scaling import CLIP


@dataclass(frozen=True)
class RowEncoding:
    """Where each number's inputs stand among `width`; none of them is farther than `farthest` from zero."""

    numbers: Sequence[tuple[int, Number, int, int]]  # place in the row, the number, the places of its value and flag
    codes: Sequence[
        tuple[int, Sequence[int], int | None]
    ]  # place in the row, what each code picks, and for an index where
    width: int
    farthest: float

    def encode(self, row: Row) -> "array[float]":
        """[width] float32."""
        if self.scales is not None:
            shift, scale = self.scales
            scaled = list(map(truediv, map(sub, row.numbers, shift), scale))
            # Then none is drawn in, nor missing: this is at least as much as the largest, and NaN if one is NaN.
            if math.hypot(*scaled) <= self.most:
                return array("f", scaled)
        return array("f", self._inputs(row))

    @cached_property
    def most(self) -> float:
        """What a scaled number is at most, and its negative at least, where it is not missing and not drawn in."""
        return self.farthest

    @cached_property
    def scales(self) -> tuple[Sequence[float], Sequence[float]] | None:
        """What is taken from each number, and what it is then divided by, where that is all that the inputs are."""
        plain = all(number.valued and not number.flagged and not number.clipped for _, number, _, _ in self.numbers)
        if self.codes or not plain or [place for place, *_ in self.numbers] != list(range(self.width)):
            return None
        scaled = [number for _, number, _, _ in self.numbers]
        return [number.shift for number in scaled], [number.scale for number in scaled]

    def _inputs(self, row: Row) -> list[float]:
        inputs = [0.0] * self.width
        farthest, numbers, codes = self.farthest, row.numbers, row.codes
        for place, number, value_at, flag_at in self.numbers:
            value = numbers[place]
            if not -math.inf < value < math.inf:
                value = number.fill
                if number.flagged:
                    inputs[flag_at] = 1.0
            if number.valued:
                scaled = (value - number.shift) / number.scale
                if not -farthest <= scaled <= farthest:
                    scaled = math.copysign(farthest, scaled)
                if number.clipped:
                    part = scaled / CLIP
                    scaled /= math.sqrt(1.0 + part * part)
                inputs[value_at] = scaled
        for place, picked, embedded in self.codes:
            if embedded is None:
                inputs[picked[codes[place]]] = 1.0
            else:
                inputs[embedded] = picked[codes[place]]
        return inputs
