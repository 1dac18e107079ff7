"""What of the contract is not made yet. Each is refused by its own path, and never ignored in silence."""

from collections.abc import Mapping
from typing import Any

from service.problems import Errors

DEVICES = ("auto", "cpu")


def refusals(spec: Mapping[str, Any]) -> Errors:
    """The paths of a loaded `RunIn` that ask for what is not there yet."""
    errors: Errors = {}
    if spec.get("device", "auto") not in DEVICES:
        errors["device"] = [f"not supported yet; {' and '.join(DEVICES)} are"]
    if spec.get("precision", "float32") != "float32":
        errors["precision"] = ["not supported yet; float32 is"]
    return errors
