"""What values are put together in: strict objects, lists, notes, and fields of several forms."""

from collections.abc import Mapping
from typing import Any

from marshmallow import INCLUDE, RAISE, Schema, ValidationError, fields

from service.schemas.fields import WITHOUT_NUL, Choice, Worded, with_schema


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
        names = ", ".join(sorted(self.load_fields))
        self.error_messages = {
            "type": f"an object of {names}" if names else "an object",
            "unknown": f"unknown field; allowed: {names or 'none'}",
        }


class Nothing(StrictSchema):
    """A body that may be left out, and says nothing."""


class Items(Worded, fields.List[Any]):
    """A list of `shortest` to `longest` values of one kind."""

    def __init__(self, inner: Any, *, shortest: int = 0, longest: int, noun: str, **kwargs: Any) -> None:
        super().__init__(inner, **with_schema(kwargs, minItems=shortest, maxItems=longest))
        self.shortest, self.longest = shortest, longest
        count = longest if shortest == longest else f"{shortest} to {longest}"
        self.allowed = f"a list of {count} {noun}"

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


class Labels(Worded, fields.Dict):
    """A caller's own notes on a run."""

    MOST, LONGEST_KEY, LONGEST_VALUE = 16, 64, 500

    allowed = f"an object of at most {MOST} texts, names of 1 to {LONGEST_KEY} characters, values up to {LONGEST_VALUE}"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **with_schema(
                kwargs,
                maxProperties=self.MOST,
                additionalProperties={"type": "string", "maxLength": self.LONGEST_VALUE, "pattern": WITHOUT_NUL},
            )
        )

    def read(self, value: Any) -> dict[str, str]:
        if not isinstance(value, dict) or len(value) > self.MOST:
            raise self.refuse()
        for key, text in value.items():
            if not 1 <= len(key) <= self.LONGEST_KEY or not isinstance(text, str) or len(text) > self.LONGEST_VALUE:
                raise self.refuse()
        return dict(value)


class Object(fields.Nested):
    """A nested object whose own null, if allowed, is said in the message."""

    default_error_messages = {  # noqa: RUF012
        "null": "an object; null is not allowed",
        "type": "an object",
        "required": "required",
    }


class Either(Worded):
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
                if isinstance(form, Choice) and value not in form.choices:
                    break  # the other forms are allowed as well
                return form.deserialize(value)
        raise self.refuse()
