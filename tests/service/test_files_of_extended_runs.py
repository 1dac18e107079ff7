"""While a run is extended, its files and its predictions are those of the weights that it had."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.service.callers import Caller

SPECS: dict[str, dict[str, Any]] = {
    "one": {},
    "sweep": {"sweep": {"seed": [0, 1, 2]}},
    "ensemble": {"sweep": {"seed": [0, 1]}, "ensemble": True},
    "folds": {"validation": {"folds": 3}},
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("member", [None, 1])
def test_extended_run_answers_as_before(
    new_caller: Callable[..., Caller], iris: str, name: str, member: int | None
) -> None:
    caller = new_caller()
    run = f"/v1/runs/{caller.trained(caller.dataset(iris), epochs=2, **SPECS[name])['id']}"
    before = told(caller, run, member)
    for verb, body in (("extend", {"to_epochs": 4}), ("pause", {}), ("resume", {}), ("cancel", {})):
        assert caller.client.post(f"{run}/{verb}", json=body).status_code == 202
        assert told(caller, run, member) == before, verb


def told(caller: Caller, run: str, member: int | None) -> list[tuple[int, Any]]:
    asked = "" if member is None else f"?member={member}"
    found = [caller.client.get(f"{run}/{file}{asked}") for file in ("weights", "onnx")]
    body = {"instances": [[5.1, 3.5, 1.4, 0.2]], "probabilities": True} | ({} if member is None else {"member": member})
    answer = caller.client.post(f"{run}/predictions", json=body)
    files = [(each.status_code, each.headers.get("ETag") or each.json["detail"]) for each in found]
    return [*files, (answer.status_code, answer.json.get("probabilities") or answer.json["detail"])]
