"""A number of each row at the network's inputs: scaled, with the middle in place of a missing one, and a flag for it.

Booleans are the numbers 0 and 1, and standardised under robust scaling too: they have no outliers to be robust against,
and where under a quarter of them is true both quartiles are 0.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor

from learning.columns import Column, as_numbers
from learning.errors import UnusableColumn
from learning.notices import Notices, constant, notice
from learning.scaling import Scaling, spread


@dataclass(frozen=True)
class Number:
    """(x - shift) / scale, and 1 where x is missing."""

    fill: float  # stands for a missing x: the train rows' mean, or median under robust scaling
    shift: float
    scale: float
    valued: bool = True  # false: every x present is the same, and only whether it is missing tells anything
    flagged: bool = False
    clipped: bool = False  # drawn in by `smooth_clip` after that

    @classmethod
    def fit(cls, among: Tensor, rows: Tensor, scaling: Scaling) -> "Number":
        """What the inputs are from `among` [N] float64, their statistics from `rows`; missing where not finite."""
        shape = spread(among[among.isfinite()], scaling)
        found = shape if rows is among else spread(rows[rows.isfinite()], scaling)
        shift, scale = (0.0, 1.0) if scaling == "none" else (found.middle, found.spread or 1.0)
        flagged = not bool(among.isfinite().all())
        return cls(found.middle, shift, scale, shape.spread > 0, flagged, clipped=scaling == "robust")

    @property
    def width(self) -> int:
        return self.valued + self.flagged


@dataclass(frozen=True)
class NumericFeature:
    name: str
    type: Literal["numeric", "boolean"]
    number: Number

    @property
    def width(self) -> int:
        return self.number.width

    @property
    def numbers(self) -> tuple[Number, ...]:
        return (self.number,)

    def read(self, column: Column) -> list[Tensor]:
        """[N] float64 for each of `numbers`. Raises UnusableColumn where the column has none."""
        try:
            return [as_numbers(column).values]
        except TypeError:
            raise UnusableColumn(self.name, f"holds text or times, and was {self.type} at training") from None

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "type": self.type, **asdict(self.number)}


def fit_numeric(
    name: str, type: Literal["numeric", "boolean"], among: Column, rows: Column, scaling: Scaling
) -> tuple[NumericFeature | None, Notices]:
    """None where all rows are the same."""
    shaping = as_numbers(among).values
    notices = []
    if infinite := int(shaping.isinf().sum()):
        notices.append(notice(name, "infinite_values", f"is infinite in {infinite} train rows, taken as missing"))
    scaling = "standard" if scaling == "robust" and type == "boolean" else scaling
    number = Number.fit(shaping, shaping if rows is among else as_numbers(rows).values, scaling)
    return (NumericFeature(name, type, number), notices) if number.width else (None, [constant(name)])
