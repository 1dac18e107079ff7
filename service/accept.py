"""Which form of an answer a caller wants: `Accept`, as RFC 9110 defines it in 12.5.1, for each address with several.

A range matches a form unless both have a parameter of one name with other values: `text/csv;header=present` asks for
CSV, and `application/json;charset=utf-8` for JSON. Weights without a leading zero (`q=.2`) and a lone `*` for `*/*` are
understood, since Java's clients send both.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from service.problems import NotAcceptable

# Between commas or semicolons; a quoted text that does not end goes to the end, so that each character is read once.
_QUOTED = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
_ITEM = re.compile(rf"(?:[^,\"]|{_QUOTED})++", re.DOTALL)
_PIECE = re.compile(rf"(?:[^;\"]|{_QUOTED})++", re.DOTALL)
_WEIGHT = re.compile(r"[0-9]{0,9}(?:\.[0-9]{0,9})?")

Parameters = dict[str, str]


class _Range(NamedTuple):
    type: str
    subtype: str
    parameters: Parameters
    weight: float


def choose(header: str | None, forms: Sequence[str]) -> str:
    """Return the form that the header prefers; of those it likes alike the one it names most exactly, then the first.

    Raise NotAcceptable where it allows none of them.
    """
    found = preferred(header, forms)
    if found is None:
        raise NotAcceptable(f"This address answers as {' or '.join(forms)}; Accept allows none of them.")
    return found


def preferred(header: str | None, forms: Sequence[str]) -> str | None:
    """Return the form as `choose` does, or None where the header allows none of them."""
    ranges = _parse(header or "")
    if not ranges:
        return forms[0]
    fits = [(_fit(_range(form), ranges), -place, form) for place, form in enumerate(forms)]
    (weight, _), _, form = max(fits)
    return form if weight > 0 else None


def _fit(form: _Range, ranges: Sequence[_Range]) -> tuple[float, int]:
    """Return the weight of the most exact of the ranges that match the form, and how exact that is."""
    exactness, weight = max(((_exactness(each, form), each.weight) for each in ranges), default=(-1, 0.0))
    return (weight, exactness) if exactness >= 0 else (0.0, -1)


def _exactness(range: _Range, form: _Range) -> int:
    """Return how exactly the range names the form; -1 where it does not match."""
    if range.type == "*":
        return 0 if range.subtype == "*" else -1
    if range.type != form.type:
        return -1
    if range.subtype == "*":
        return 1
    if range.subtype != form.subtype:
        return -1
    same = [form.parameters[name] == value for name, value in range.parameters.items() if name in form.parameters]
    return 2 + len(same) if all(same) else -1


def _parse(header: str) -> list[_Range]:
    return [_range(item) for item in _ITEM.findall(header) if item.strip()]


def _range(item: str) -> _Range:
    pieces = [piece.strip() for piece in _PIECE.findall(item)]
    type, _, subtype = (pieces[0] if pieces else "").lower().partition("/")
    parameters: Parameters = {}
    for piece in pieces[1:]:
        name, equals, value = piece.partition("=")
        if equals:
            parameters.setdefault(name.strip().lower(), _unquoted(value.strip()).lower())
    weight = _weight(parameters.pop("q", ""))
    return _Range(type.strip(), subtype.strip() or ("*" if type.strip() == "*" else ""), parameters, weight)


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value[:1] == '"' == value[-1:] and len(value) > 1 else value


def _weight(text: str) -> float:
    """Return the weight, 1 where there is none or one that cannot be read."""
    known = _WEIGHT.fullmatch(text) is not None and text not in ("", ".")
    return min(1.0, float(text)) if known else 1.0
