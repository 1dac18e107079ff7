"""What of the contract is not made yet. Each is refused by its own path, and never ignored in silence."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.problems import Errors

SCALINGS = ("standard", "none")
DEVICES = ("auto", "cpu")


def refusals(spec: Mapping[str, Any]) -> Errors:
    """The paths of a loaded `RunIn` that ask for what is not there yet."""
    errors: Errors = {}
    for path, supported in _refused(spec):
        errors.setdefault(path, []).append(f"not supported yet; {supported}")
    return errors


def layers(found: list[dict[str, Any]], path: str) -> Iterator[tuple[str, str]]:
    for index, layer in enumerate(found):
        at = f"{path}.{index}"
        if layer["dropout"]:
            yield f"{at}.dropout", "0.0 is"
        if layer["normalization"] is not None:
            yield f"{at}.normalization", "null is"


def _refused(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if isinstance(spec.get("network"), dict):
        yield from layers(spec["network"]["layers"], "network.layers")
    for form in ("folds", "fold", "column"):
        if form in (spec.get("validation") or {}):
            yield f"validation.{form}", '{"fraction": 0.2} and null are'
    if spec.get("scaling", "none") not in SCALINGS:
        yield "scaling", _are(SCALINGS)
    if spec.get("device", "auto") not in DEVICES:
        yield "device", _are(DEVICES)
    if spec.get("precision", "float32") != "float32":
        yield "precision", "float32 is"
    if spec.get("label_smoothing"):
        yield "label_smoothing", "0.0 is"
    if spec.get("ensemble"):
        yield "ensemble", "false is"


def _are(names: tuple[str, ...]) -> str:
    return f"{names[0]} is" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} are"
