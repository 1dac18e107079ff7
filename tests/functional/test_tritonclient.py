"""Triton's own HTTP client, as its makers ship it, beside the predictions route of a running service."""

import numpy as np
import pytest
from tritonclient import http
from tritonclient.utils import InferenceServerException

from tests.functional.running import Service

NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
ROWS = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.1, 4.7, 1.5], [6.3, 3.3, 6.0, 2.5]])
MIXED = "size,colour,garden,price\n" + "40.5,red,true,100\n,blue,false,150\n60,,true,120\n80,red,false,210\n" * 10


@pytest.fixture(scope="module")
def models(service: Service, iris: str) -> dict[str, str]:
    mixed = service.upload(MIXED.encode(), "mixed")
    made = {}
    for name, dataset, target in (("flowers", iris, "species"), ("prices", mixed, "price")):
        run = service.ended(service.start(dataset, target=target, epochs=5))
        assert run["status"] == "succeeded", run["error"]
        made[name] = service.post("/v1/models", json={"name": name, "run": run["id"], "alias": "prod"})["sha256"]
    return made


@pytest.fixture
def triton(service: Service):
    with http.InferenceServerClient(f"{service.client.base_url.host}:{service.client.base_url.port}") as client:
        yield client


def predicted(service: Service, model: str, instances: list, **options) -> dict:
    return service.post(f"/v1/models/{model}/predictions", json={"instances": instances, **options})


def tensor(name: str, values: np.ndarray, datatype: str, binary: bool) -> http.InferInput:
    made = http.InferInput(name, list(values.shape), datatype)
    return made.set_data_from_numpy(values, binary_data=binary)


def test_it_finds_the_server_and_its_models_ready(triton, models) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    for name, version in (("flowers", ""), ("flowers@prod", ""), ("flowers:1", ""), ("flowers", "1")):
        assert triton.is_model_ready(name, version)
        assert [each["name"] for each in triton.get_model_metadata(name, version)["inputs"]] == list(NAMES)
    assert not triton.is_model_ready("nothing")


@pytest.mark.parametrize("datatype", ["FP64", "FP32"])
@pytest.mark.parametrize(
    ("into", "out"),
    [(True, True), (True, False), (True, None), (False, True), (False, False), (False, None)],
)
@pytest.mark.usefixtures("models")
def test_columns_and_a_matrix_get_the_numbers_of_the_route(service, triton, into, out, datatype) -> None:
    table = ROWS.astype("f8" if datatype == "FP64" else "f4")
    expected = predicted(service, "flowers", table.astype(float).tolist(), probabilities=True)
    columns = [tensor(name, table[:, place].copy(), datatype, into) for place, name in enumerate(NAMES)]
    narrow = [tensor(name, table[:, [place]].copy(), datatype, into) for place, name in enumerate(NAMES)]
    wanted = (
        None
        if out is None
        else [http.InferRequestedOutput(name, binary_data=out) for name in ("predictions", "probabilities")]
    )
    for inputs in (columns, narrow, [tensor("any", table, datatype, into)]):
        found = triton.infer("flowers", inputs, model_version="1", outputs=wanted, request_id="7")
        labels = [each.decode() if isinstance(each, bytes) else each for each in found.as_numpy("predictions").tolist()]
        assert labels == expected["predictions"]
        assert found.as_numpy("probabilities").tolist() == expected["probabilities"]
        assert (found.get_response()["id"], found.get_response()["model_version"]) == ("7", "1")


@pytest.mark.parametrize("binary", [True, False])
def test_texts_and_booleans_come_as_they_are(service, triton, models, binary: bool) -> None:
    records = [{"size": 55.5, "colour": "red", "garden": True}, {"size": 70.25, "colour": "bl\u00fc", "garden": False}]
    inputs = [
        tensor("size", np.array([55.5, 70.25]), "FP64", binary),
        tensor("colour", np.array(["red", "bl\u00fc"], dtype=object), "BYTES", binary),
        tensor("garden", np.array([True, False]), "BOOL", binary),
    ]
    found = triton.infer("prices@prod", inputs)
    assert found.as_numpy("predictions").tolist() == predicted(service, "prices", records)["predictions"]
    missing = tensor("size", np.array([np.nan]), "FP64", True)
    found = triton.infer("prices", [missing]).as_numpy("predictions").tolist()
    assert found == predicted(service, "prices", [{}])["predictions"]


def test_it_reads_what_is_wrong(triton, models) -> None:
    with pytest.raises(InferenceServerException, match="There is no model nothing") as refusal:
        triton.infer("nothing", [tensor("x", ROWS, "FP64", True)])
    assert refusal.value.status() == "404"
    with pytest.raises(InferenceServerException, match="unknown feature; the features are sepal_length") as refusal:
        triton.infer("flowers", [tensor("x", ROWS[:, 0].copy(), "FP64", True)])
    assert refusal.value.status() == "422"
