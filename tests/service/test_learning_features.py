"""What a run may ask of the engine is there from the API on: accepted, echoed, trained, predicted with."""

from typing import Any

import pytest

from service.schemas.networks import ACTIVATIONS
from tests.service.callers import Caller


def predicted(caller: Caller, run: dict[str, Any], count: int = 2) -> list[Any]:
    rows = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.1, 5.6, 2.4]][:count]
    answer = caller.client.post(f"/v1/runs/{run['id']}/predictions", json={"instances": rows})
    assert answer.status_code == 200, answer.text
    return answer.json["predictions"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_of_the_contract_trains_and_predicts(caller: Caller, iris: str, activation: str) -> None:
    layers = [{"units": 9, "activation": activation}, {"units": 5, "activation": activation}]
    optimizer = {"name": "adam", "learning_rate": 0.02}
    run = caller.trained(caller.dataset(iris), network={"layers": layers}, epochs=15, optimizer=optimizer)
    assert [layer["activation"] for layer in run["spec"]["network"]["layers"]] == [activation] * 2
    assert run["metrics"]["validation"]["accuracy"] > 0.7
    assert predicted(caller, run)[0] == "setosa"
