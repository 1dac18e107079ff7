"""The values of the contract: each field refuses what it does not take with one message that says what is allowed.

marshmallow's own fields are lenient: they read "5" and true as numbers, and 1 as true. A typed API must not.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from marshmallow import INCLUDE, RAISE, Schema, ValidationError, fields

_UNFIT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class Shown(Schema):
    """What is answered. A later version may add to it, and the document says so."""

    class Meta:  # noqa: D106
        unknown = INCLUDE


class StrictSchema(Schema):
    """Refuses a name it does not know, and says which it does."""

    class Meta:  # noqa: D106
        unknown = RAISE

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.error_messages = {
            "type": "an object",
            "unknown": f"unknown field; allowed: {', '.join(sorted(self.load_fields)) or 'none'}",
        }


class Nothing(StrictSchema):
    """A body that may be left out, and says nothing."""


class _Worded(fields.Field[Any]):
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


class Number(_Worded, fields.Float):
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
        super().__init__(**_with_schema(kwargs, **_bounds(above, at_least, below, at_most)))
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


class Whole(_Worded, fields.Integer):
    """A whole number from `at_least` to `at_most`; 3.0 is one in JSON, "3" and true are none."""

    def __init__(self, *, at_least: int, at_most: int, **kwargs: Any) -> None:
        super().__init__(**_with_schema(kwargs, minimum=at_least, maximum=at_most))
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


class Flag(_Worded, fields.Boolean):
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


class Text(_Worded, fields.String):
    """Text on one line: no control character reaches a log, a header or a terminal."""

    def __init__(self, *, shortest: int = 1, longest: int = 200, **kwargs: Any) -> None:
        super().__init__(**_with_schema(kwargs, minLength=shortest, maxLength=longest))
        self.shortest, self.longest = shortest, longest
        self.allowed = f"text of {shortest} to {longest} characters, without control characters"

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not self.shortest <= len(value) <= self.longest or _UNFIT.search(value):
            raise self.refuse()
        return value


class Delimiter(_Worded, fields.String):
    allowed = "one ASCII character that is no letter, digit, quote, dot, minus or line break"

    _PATTERN = re.compile(r"[\t !#$%&()*+,/:;<=>?@\[\\\]^_`{|}~]")

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not self._PATTERN.fullmatch(value):
            raise self.refuse()
        return value


class ColumnName(_Worded, fields.String):
    """A header may hold anything, so a column's name is only looked up."""

    allowed = "the name of a column"

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self.refuse()
        return value


class Choice(_Worded, fields.String):
    def __init__(self, choices: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**_with_schema(kwargs, enum=[*choices, *([None] if kwargs.get("allow_none") else [])]))
        self.choices = tuple(choices)
        self.allowed = f"one of {', '.join(choices)}"

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.choices:
            raise self.refuse()
        return value


class Time(_Worded, fields.DateTime):
    """RFC 3339 with its offset; kept in UTC."""

    allowed = "a time as RFC 3339 with an offset, like 2026-01-31T12:00:00Z"

    _PATTERN = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)")

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


class Items(_Worded, fields.List[Any]):
    """A list of `shortest` to `longest` values of one kind."""

    def __init__(self, inner: Any, *, shortest: int = 0, longest: int, noun: str, **kwargs: Any) -> None:
        super().__init__(inner, **_with_schema(kwargs, minItems=shortest, maxItems=longest))
        self.shortest, self.longest = shortest, longest
        self.allowed = f"a list of {shortest} to {longest} {noun}"

    def read(self, value: Any) -> list[Any]:
        if not isinstance(value, list) or not self.shortest <= len(value) <= self.longest:
            raise self.refuse()
        found, errors = [], {}
        for index, each in enumerate(value):
            try:
                found.append(self.inner.deserialize(each))
            except ValidationError as error:
                errors[index] = error.messages
        if errors:
            raise ValidationError(errors)
        return found


class Labels(_Worded, fields.Dict):
    """A caller's own notes on a run."""

    MOST, LONGEST_KEY, LONGEST_VALUE = 16, 64, 500

    allowed = f"an object of at most {MOST} texts, names of 1 to {LONGEST_KEY} characters, values up to {LONGEST_VALUE}"

    def __init__(self, **kwargs: Any) -> None:
        values = {"type": "string", "maxLength": self.LONGEST_VALUE}
        super().__init__(**_with_schema(kwargs, maxProperties=self.MOST, additionalProperties=values))

    def read(self, value: Any) -> dict[str, str]:
        if not isinstance(value, dict) or len(value) > self.MOST:
            raise self.refuse()
        for key, text in value.items():
            if not 1 <= len(key) <= self.LONGEST_KEY or not isinstance(text, str) or len(text) > self.LONGEST_VALUE:
                raise self.refuse()
        return dict(value)


class Object(fields.Nested):
    """A nested object whose own null, if allowed, is said in the message."""

    default_error_messages = {"null": "an object; null is not allowed", "type": "an object"}  # noqa: RUF012


class Either(_Worded):
    """One of several forms, told apart by the JSON type of the value."""

    def __init__(
        self, forms: Mapping[type | tuple[type, ...], fields.Field[Any]], *, allowed: str, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.forms = dict(forms)
        self.allowed = allowed

    def read(self, value: Any) -> Any:
        for kind, form in self.forms.items():
            if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
                return form.deserialize(value)
        raise self.refuse()


def _with_schema(kwargs: dict[str, Any], **schema: Any) -> dict[str, Any]:
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
