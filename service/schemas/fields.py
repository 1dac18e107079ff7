"""The values of the contract: each field refuses what it does not take with one message that says what is allowed.

marshmallow's own fields are lenient: they read "5" and true as numbers, and 1 as true. A typed API must not.
"""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError, fields

_UNFIT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
WITHOUT_NUL = r"^[^\u0000]*$"  # which no database takes
TEXT = r"^[^\u0000-\u001f\u007f]*$"  # what a text may be, as the document says it


class Worded(fields.Field[Any]):
    """`allowed` is what every refusal says; null gets it too, since null never means absent."""

    allowed = ""

    def read(self, value: Any) -> Any:
        """The JSON value as ours. Raises `refuse()` for one that is not allowed."""
        return value

    def refuse(self) -> ValidationError:
        return ValidationError(f"{self.allowed} or null" if self.allow_none else self.allowed)

    def make_error(self, key: str, **_: object) -> ValidationError:
        return ValidationError("required") if key == "required" else self.refuse()

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        return self.read(value)


class Number(Worded, fields.Float):
    """A finite JSON number, in (above, below) or [at_least, at_most]."""

    def __init__(
        self,
        *,
        above: float | None = None,
        at_least: float | None = None,
        below: float | None = None,
        at_most: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**with_schema(kwargs, **_bounds(above, at_least, below, at_most)))
        self.above, self.at_least, self.below, self.at_most = above, at_least, below, at_most
        self.allowed = "a number" + _range_in_words(above, at_least, below, at_most)

    def read(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse()
        try:
            number = float(value)
        except OverflowError:
            raise self.refuse() from None
        if (
            not math.isfinite(number)
            or (self.above is not None and not number > self.above)
            or (self.at_least is not None and not number >= self.at_least)
            or (self.below is not None and not number < self.below)
            or (self.at_most is not None and not number <= self.at_most)
        ):
            raise self.refuse()
        return number


class NumberParameter(Number):
    """The same in a query, where everything is text."""

    def read(self, value: Any) -> float:
        if not re.fullmatch(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", str(value)):
            raise self.refuse()
        return super().read(float(value))


class Whole(Worded, fields.Integer):
    """A whole number from `at_least` to `at_most`; 3.0 is one in JSON, "3" and true are none."""

    def __init__(self, *, at_least: int, at_most: int, **kwargs: Any) -> None:
        super().__init__(**with_schema(kwargs, minimum=at_least, maximum=at_most))
        self.at_least, self.at_most = at_least, at_most
        self.allowed = f"a whole number from {at_least} to {at_most}"

    def read(self, value: Any) -> int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or not self.at_least <= value <= self.at_most:
            raise self.refuse()
        return int(value)


class WholeParameter(Whole):
    """The same in a query, where everything is text."""

    def read(self, value: Any) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", str(value)):
            raise self.refuse()
        return super().read(int(value))


class Flag(Worded, fields.Boolean):
    allowed = "true or false"

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.refuse()
        return value


class FlagParameter(Flag):
    def read(self, value: Any) -> bool:
        if value not in ("true", "false"):
            raise self.refuse()
        return bool(value == "true")


class Text(Worded, fields.String):
    """Text on one line: no control character reaches a log, a header or a terminal."""

    def __init__(self, *, shortest: int = 1, longest: int = 200, **kwargs: Any) -> None:
        super().__init__(**with_schema(kwargs, minLength=shortest, maxLength=longest, pattern=TEXT))
        self.shortest, self.longest = shortest, longest
        self.allowed = f"text of {shortest} to {longest} characters, without control characters"

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not self.shortest <= len(value) <= self.longest or _UNFIT.search(value):
            raise self.refuse()
        return value


class Delimiter(Worded, fields.String):
    allowed = "one ASCII character that is no letter, digit, quote, dot, minus or line break"

    _PATTERN = re.compile(r"[\t !#$%&()*+,/:;<=>?@\[\\\]^_`{|}~]")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**with_schema(kwargs, pattern=f"^{self._PATTERN.pattern}$"))

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not self._PATTERN.fullmatch(value):
            raise self.refuse()
        return value


class ColumnName(Worded, fields.String):
    """A header may hold anything, so a column's name is only looked up."""

    allowed = "the name of a column"

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self.refuse()
        return value


class Choice(Worded, fields.String):
    def __init__(self, choices: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**with_schema(kwargs, enum=[*choices, *([None] if kwargs.get("allow_none") else [])]))
        self.choices = tuple(choices)
        self.allowed = f"one of {', '.join(choices)}"

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.choices:
            raise self.refuse()
        return value


class Time(Worded, fields.DateTime):
    """RFC 3339 with its offset; kept in UTC."""

    allowed = "a time as RFC 3339 with an offset, like 2026-01-31T12:00:00Z"

    _PATTERN = re.compile(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**with_schema(kwargs, pattern=f"^{self._PATTERN.pattern}$"))

    def read(self, value: Any) -> datetime:
        if not isinstance(value, str) or not self._PATTERN.fullmatch(value):
            raise self.refuse()
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.refuse() from None

    def _serialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return value if value is None or isinstance(value, str) else as_text(value)


def as_text(time: datetime) -> str:
    """RFC 3339 UTC with microseconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def with_schema(kwargs: dict[str, Any], **schema: Any) -> dict[str, Any]:
    told = {name: value for name, value in schema.items() if value is not None}
    return {**kwargs, "metadata": {**told, **kwargs.get("metadata", {})}}


def _bounds(
    above: float | None, at_least: float | None, below: float | None, at_most: float | None
) -> dict[str, float | None]:
    return {"exclusiveMinimum": above, "minimum": at_least, "exclusiveMaximum": below, "maximum": at_most}


def _range_in_words(above: float | None, at_least: float | None, below: float | None, at_most: float | None) -> str:
    low = f" above {above:g}" if above is not None else f" of at least {at_least:g}" if at_least is not None else ""
    high = f" below {below:g}" if below is not None else f" at most {at_most:g}" if at_most is not None else ""
    return f"{low} and{high}" if low and high else low + high
