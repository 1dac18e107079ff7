"""A time of each row at the network's inputs: how late it is, and where in the year, the week and the day.

    years                   since 1970, scaled like any number
    sine and cosine of      2π · (time / period), of the year, the week and the day: midnight lies beside midnight

A course's sine and cosine are on one scale as they are, and stay so: a model that saw one hour and is asked about the
next day gets numbers within ±1. A part that is the same on every train row is left out, so that dates without a time
of day have no course of the day. All in UTC. A year is the Gregorian calendar's mean, 365.2425 days, from which a date
strays by up to two days; and a week begins on a Thursday, as 1970 did, which is no matter to a network.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from learning.columns import Column, ColumnType, DatetimeColumn
from learning.errors import UnusableColumn
from learning.notices import Notices, constant
from learning.numeric import Number
from learning.scaling import Scaling
from learning.sums import halving_mean

SECOND = 1e6  # microseconds
DAY = 86_400 * SECOND
YEAR = 365.2425 * DAY
PERIODS = (YEAR, 7 * DAY, DAY)
COURSES = ("year_sine", "year_cosine", "week_sine", "week_cosine", "day_sine", "day_cosine")

STILL = 1e-6  # a course that moves less than this, some seconds of a year or the rounding of a sine, does not move
# Of the series of sine and cosine, the last first: π^31 / 31! is below the last bit.
DIVISORS = torch.tensor([[n * (n + 1), n * (n - 1)] for n in range(30, 0, -2)], dtype=torch.float64).unsqueeze(-1)
BLOCK = 4_096  # times at once: what a series needs on its way stays in the cache


@dataclass(frozen=True)
class DatetimeFeature:
    name: str
    years: Number
    courses: Mapping[str, float]  # those that move, in the order of COURSES, each with the train rows' mean

    @property
    def type(self) -> ColumnType:
        return "datetime"

    @property
    def width(self) -> int:
        return self.years.width + len(self.courses)

    @property
    def numbers(self) -> tuple[Number, ...]:
        return (self.years, *(Number(fill, 0.0, 1.0) for fill in self.courses.values()))

    def read(self, column: Column) -> list[Tensor]:
        """[N] float64 for each of `numbers`. Raises UnusableColumn where the column holds no times."""
        if not isinstance(column, DatetimeColumn):
            raise UnusableColumn(self.name, "holds no times, and was datetime at training")
        found = courses(column.values) if self.courses else {}
        return [column.values / YEAR, *(found[name] for name in self.courses)]

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "type": self.type, "years": asdict(self.years), "courses": dict(self.courses)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "DatetimeFeature":
        kept = found["courses"]  # whoever keeps JSON may sort its keys
        return cls(found["name"], Number(**found["years"]), {part: kept[part] for part in COURSES if part in kept})


def fit_datetime(
    name: str, among: DatetimeColumn, rows: DatetimeColumn, scaling: Scaling
) -> tuple[DatetimeFeature | None, Notices]:
    """None where all rows are the same."""
    years = among.values / YEAR
    number = Number.fit(years, years if rows is among else rows.values / YEAR, scaling)
    if not number.width:
        return None, [constant(name)]
    shaping = courses(among.values[among.values.isfinite()])
    known = shaping if rows is among else courses(rows.values[rows.values.isfinite()])
    moving = [part for part, values in shaping.items() if (values.max() - values.min()).item() > STILL]
    means = {part: halving_mean(known[part], 0).item() if len(known[part]) else 0.0 for part in moving}
    return DatetimeFeature(name, number, means), []


def courses(times: Tensor) -> dict[str, Tensor]:
    """Of `times` [N] float64 in microseconds, each of COURSES [N].

    The series are written out, because torch's own sine may differ in its last bit between a value alone and the same
    value in a vector: sin a = a (1 - a²/(2·3) (1 - a²/(4·5) …)), cos a = 1 - a²/(1·2) (1 - a²/(3·4) …).
    """
    found = torch.empty(len(PERIODS), 2, len(times), dtype=torch.float64)
    for start in range(0, len(times), BLOCK):
        turns = times[start : start + BLOCK] / torch.tensor(PERIODS, dtype=torch.float64).unsqueeze(1)
        angle = (turns - turns.floor() - 0.5) * (2 * math.pi)  # half a turn behind, hence both signs below
        square = (angle * angle).unsqueeze(1)
        series = torch.ones_like(square)
        for divisors in DIVISORS:
            series = 1.0 - square / divisors * series
        found[:, 0, start : start + BLOCK] = -angle * series[:, 0]
        found[:, 1, start : start + BLOCK] = -series[:, 1]
    return dict(zip(COURSES, found.flatten(0, 1), strict=True))
