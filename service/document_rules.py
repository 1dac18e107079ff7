"""What marshmallow tells no document: what the fields of a request say together, and where a new thing is shown."""

from collections.abc import Mapping
from typing import Any

from learning.specs import SCHEDULES, SWEEP_PATHS
from service.resolution.recipes import RECIPES
from service.resolution.unmade import DEVICES
from service.schemas.fields import WITHOUT_NUL
from service.schemas.inference import Parameters
from service.schemas.shapes import Labels

Document = dict[str, Any]


def refine(schemas: dict[str, Document]) -> None:
    """Make these schemas of components as strict as the service is."""
    schedule = schemas["Schedule"]
    _split(schedule, {name: ["name", "warmup_epochs", *own] for name, own in SCHEDULES.items()})
    for form in schedule["oneOf"]:
        name = form["title"]
        form["properties"]["name"] = {"const": name}
        form["required"] = [] if name == "constant" else ["name"]
        if name == "one_cycle":  # it begins with a rise of its own
            form["properties"]["warmup_epochs"] = {"const": 0}
    validation = schemas["Validation"]
    _split(validation, {"fraction": ["fraction"], "folds": ["folds", "fold"], "column": ["column"]})
    for form in validation["oneOf"][1:]:
        form["required"] = [form["title"]]
    run = schemas["RunIn"]["properties"]
    run["recipe"]["enum"] = list(RECIPES)
    run["device"]["enum"], run["precision"]["enum"] = list(DEVICES), ["float32"]  # what is made by now
    run["sweep"]["propertyNames"] = {"enum": list(SWEEP_PATHS)}
    run["members"]["items"]["propertyNames"] = {"enum": list(SWEEP_PATHS)}
    labels = {"minLength": 1, "maxLength": Labels.LONGEST_KEY, "pattern": WITHOUT_NUL}
    for labelled in (run["metadata"], schemas["RunChange"]["properties"]["metadata"]):
        labelled["propertyNames"] = labels
    schemas["ReceiptIn"]["properties"]["versions"]["propertyNames"] = labels
    for name in ("InferenceIn", "TensorIn", "OutputIn"):
        own = schemas[name]["properties"]["parameters"]
        own["propertyNames"] = {"pattern": WITHOUT_NUL, "not": {"enum": list(Parameters.refused)}}
    rows = ("dataframe_split", "dataframe_records", "instances", "inputs")
    schemas["InvocationIn"]["oneOf"] = [{"required": [name]} for name in rows]


def _split(schema: Document, forms: Mapping[str, list[str]]) -> None:
    """Say the schema of an object as one of several, each with some of the properties."""
    properties = schema.pop("properties")
    schema.pop("additionalProperties", None)
    schema["oneOf"] = [
        {
            "title": title,
            "type": "object",
            "properties": {name: dict(properties[name]) for name in names},
            "additionalProperties": False,
        }
        for title, names in forms.items()
    ]


_MADE_BY = {  # where a thing is made: the paths that take it, and which of their parameters the answer has
    "/v1/datasets": ("/v1/datasets/{id}", {"id": "id"}),
    "/v1/networks": ("/v1/networks/{id}", {"id": "id"}),
    "/v1/runs": ("/v1/runs/{id}", {"id": "id"}),
    "/v1/replays": ("/v1/runs/{id}", {"id": "id"}),
    "/v1/batch-predictions": ("/v1/batch-predictions/{id}", {"id": "id"}),
    "/v1/models": ("/models/{", {"name": "name", "ref": "name", "version": "version"}),
}


def link(paths: Mapping[str, Document]) -> None:
    """Say of each address where a thing is made which operations take it from the answer."""
    for made_at, (within, known) in _MADE_BY.items():
        links: Document = {}
        for path, operations in paths.items():
            names = {name for name in known if f"{{{name}}}" in path}
            if within in path and names:
                values = {f"path.{name}": f"$response.body#/{known[name]}" for name in sorted(names)}
                links |= {
                    each["operationId"]: {"operationId": each["operationId"], "parameters": values}
                    for method, each in operations.items()
                    if method != "parameters"
                }
        for status, response in paths[made_at]["post"]["responses"].items():
            if status in ("201", "202"):
                response["links"] = links
