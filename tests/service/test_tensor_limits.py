"""Values of a v2 tensor in JSON: what its datatype cannot hold is refused, with the element and what it can hold."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from service.problems import Malformed
from service.serving import tensors
from tests.service.callers import Caller

HELD = {
    "INT8": (-128, 127),
    "INT16": (-(2**15), 2**15 - 1),
    "INT32": (-(2**31), 2**31 - 1),
    "INT64": (-(2**63), 2**63 - 1),
    "UINT8": (0, 255),
    "UINT16": (0, 2**16 - 1),
    "UINT32": (0, 2**32 - 1),
    "UINT64": (0, 2**64 - 1),
    "FP16": (-65504.0, 65504.0),
    "FP32": (-3.4028234663852886e38, 3.4028234663852886e38),
    "FP64": (-1.7976931348623157e308, 1.7976931348623157e308),
}


def read(datatype: str, *values: Any) -> np.ndarray:
    return np.asarray(tensors.of_json("x", datatype, (len(values),), list(values), "inputs.0.data").values)


@pytest.mark.parametrize("datatype", HELD)
def test_ends_of_a_datatype_are_held(datatype: str) -> None:
    least, most = HELD[datatype]
    found = read(datatype, least, most, 0, None)
    assert found[:3].tolist() == [float(least), float(most), 0.0]
    assert np.isnan(found[3])


@pytest.mark.parametrize("datatype", HELD)
def test_value_past_an_end_is_refused(datatype: str) -> None:
    least, most = HELD[datatype]
    whole = "INT" in datatype
    for value in (least - 1 if whole else least * 1.001, most + 1 if whole else most * 1.001, 10**400, -(10**400)):
        with pytest.raises(Malformed, match=rf"inputs\.0\.data\.1 is no {datatype}"):
            read(datatype, 0, value)


@pytest.mark.parametrize(("datatype", "value"), [("INT8", 300), ("UINT8", -1), ("FP16", 1e6), ("FP32", 1e39)])
def test_request_with_a_value_outside_its_datatype(
    datatype: str, value: float, new_caller: Callable[..., Caller], mixed: str
) -> None:
    there = new_caller()
    run = there.trained(there.dataset(mixed), "price", features=["size", "rooms"], epochs=1)
    assert there.client.post("/v1/models", json={"name": "m", "run": run["id"]}).status_code == 201
    for data, shape, name in (([value], [1], "size"), ([[1, value]], [1, 2], "both")):
        asked = {"inputs": [{"name": name, "datatype": datatype, "shape": shape, "data": data}]}
        answer = there.client.post("/v2/models/m/infer", json=asked)
        assert answer.status_code == 400, answer.text
        assert datatype in answer.json["detail"]
        assert answer.json["error"] == answer.json["detail"]
