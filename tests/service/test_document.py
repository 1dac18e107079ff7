"""The OpenAPI document is valid, and says of every route what it takes and whatever it may answer."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from service.problems import MEDIA_TYPE
from tests.service.callers import Caller
from tests.service.refusals import House

OPEN = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}
NOT_IN_IT = {"/", "/openapi.json", "/docs", "/docs/", "/docs/<path:path>"}


@pytest.fixture(scope="module")
def document(house: House) -> dict[str, Any]:
    return house.caller.get("/openapi.json")


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                yield method, path, operation


def resolved(document: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in found:
        place: Any = document
        for step in found["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        found = place
    return found


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document["components"]})


def test_it_is_openapi_3_1_and_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"].keys() >= {"title", "version", "description"}
    for found in re.findall(r'"\$ref": ?"([^"]+)"', json.dumps(document)):
        assert resolved(document, {"$ref": found})


def test_every_schema_is_one(document: dict[str, Any]) -> None:
    def schemas(found: Any) -> Iterator[dict[str, Any]]:
        if isinstance(found, dict):
            if isinstance(found.get("schema"), dict):
                yield found["schema"]
            for inner in found.values():
                yield from schemas(inner)
        elif isinstance(found, list):
            for inner in found:
                yield from schemas(inner)

    every = [*document["components"]["schemas"].values(), *schemas(document["paths"])]
    assert len(every) > 100
    for schema in every:
        Draft202012Validator.check_schema(schema)
        assert "nullable" not in json.dumps(schema)  # 3.0's word


def test_every_route_is_described(caller: Caller, document: dict[str, Any]) -> None:
    told = {(method.upper(), path) for method, path, _ in operations(document)}
    for rule in caller.app.url_map.iter_rules():
        if rule.rule in NOT_IN_IT:
            continue
        path = re.sub(r"<[^>]*?(\w+)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            assert (method, path) in told
            told.remove((method, path))
    assert told == set()


def test_every_operation_says_what_it_takes_and_answers(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    for method, path, operation in operations(document):
        assert operation["summary"], path
        parameters = [*operation.get("parameters", []), *document["paths"][path].get("parameters", [])]
        in_path = {each["name"] for each in parameters if each["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert "X-Request-Id" in {each["name"] for each in parameters}
        assert any(status.startswith("2") for status in operation["responses"]), (method, path)
        expected = {"405", "422", "500"}
        if path not in OPEN:
            expected |= {"401", "403", "503"}
        if "{id}" in path:
            expected.add("404")
        if "requestBody" in operation:
            expected |= {"400", "413", "415"}
        assert operation["responses"].keys() >= expected, (method, path)
        for status, response in operation["responses"].items():
            found = resolved(document, response)
            assert found["description"]
            if status >= "400" and not (path in OPEN and status == "503"):
                assert list(found["content"]) == [MEDIA_TYPE], (method, path, status)


def test_posts_that_create_tell_of_their_key(document: dict[str, Any]) -> None:
    for path in ("/v1/datasets", "/v1/networks", "/v1/runs", "/v1/runs/{id}/extend", "/v1/replays", "/v1/models"):
        names = {each["name"] for each in document["paths"][path]["post"]["parameters"]}
        assert "Idempotency-Key" in names
    assert "name" in {each["name"] for each in document["paths"]["/v1/datasets"]["post"]["parameters"]}
    body = document["paths"]["/v1/datasets"]["post"]["requestBody"]["content"]
    assert {"text/csv", "application/vnd.apache.parquet", "application/x-ndjson", "multipart/form-data"} == body.keys()


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    seen = 0
    for _, path, operation in operations(document):
        for media, content in operation.get("requestBody", {}).get("content", {}).items():
            if "example" in content:
                assert validator(document, content["schema"]).is_valid(content["example"]), (path, media)
                seen += 1
    assert seen >= 5


ANSWERS = [
    ("/v1/datasets", "/v1/datasets"),
    ("/v1/datasets/{id}", "/v1/datasets/{iris}"),
    ("/v1/datasets/{id}", "/v1/datasets/{mixed}"),
    ("/v1/datasets/{id}/rows", "/v1/datasets/{mixed}/rows"),
    ("/v1/networks", "/v1/networks"),
    ("/v1/runs", "/v1/runs"),
    ("/v1/runs/{id}", "/v1/runs/{run}"),
    ("/v1/runs/{id}", "/v1/runs/{folded}"),
    ("/v1/runs/{id}", "/v1/runs/{queued}"),
    ("/v1/runs/{id}/members", "/v1/runs/{run}/members"),
    ("/v1/runs/{id}/members", "/v1/runs/{folded}/members"),
    ("/v1/runs/{id}/metrics", "/v1/runs/{run}/metrics"),
    ("/v1/runs/{id}/events", "/v1/runs/{run}/events"),
    ("/v1/runs/{id}/receipt", "/v1/runs/{run}/receipt"),
    ("/v1/models", "/v1/models"),
    ("/v1/models/{name}", "/v1/models/iris"),
    ("/v1/models/{name}/versions", "/v1/models/iris/versions"),
    ("/v1/models/{name}/versions/{version}", "/v1/models/iris/versions/1"),
    ("/v1/workers", "/v1/workers"),
    ("/healthz", "/healthz"),
    ("/readyz", "/readyz"),
]


@pytest.mark.parametrize(("path", "address"), ANSWERS)
def test_answers_are_what_the_document_says(house: House, document: dict[str, Any], path: str, address: str) -> None:
    schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    validator(document, schema).validate(house.caller.get(address.format(**house.ids)))


def test_predictions_and_problems_are_what_the_document_says(house: House, document: dict[str, Any]) -> None:
    path = "/v1/runs/{id}/predictions"
    schemas = document["paths"][path]["post"]["responses"]
    body = {"instances": [[5.1, 3.5, 1.4, 0.2]], "probabilities": True}
    for run in ("folded", "run"):  # the folds answer together: there the member is null
        address = f"/v1/runs/{house.ids[run]}/predictions"
        answer = house.caller.client.post(address, json=body)
        validator(document, schemas["200"]["content"]["application/json"]["schema"]).validate(answer.json)
    problem = house.caller.client.post(address, json={"instances": [[1]]})
    schema = resolved(document, schemas["422"])["content"][MEDIA_TYPE]["schema"]
    validator(document, schema).validate(problem.json)
    ragged = house.caller.send(b"a,b\n1,2\n3\n")
    validator(document, schema).validate(ragged.json)


def test_what_the_document_allows_in_a_run_the_service_knows(house: House, document: dict[str, Any]) -> None:
    from service.schemas.run_spec import RunIn

    assert document["components"]["schemas"]["RunIn"]["properties"].keys() == RunIn().fields.keys()
    optimizer = document["components"]["schemas"]["Optimizer"]["properties"]
    assert optimizer["learning_rate"]["exclusiveMinimum"] == 0
    assert document["components"]["schemas"]["RunIn"]["additionalProperties"] is False
