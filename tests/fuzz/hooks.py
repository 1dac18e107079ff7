"""What schemathesis is told of this service: which things there are, whose they are, and what a document cannot say.

`LEARND_FUZZ` is JSON: {"own": {noun: [id, …]}, "other": {noun: [id, …]}, "mark": text}. `own` are things of the tenant
whose key is used, `other` those of the other tenant; `mark` stands in every text of the other tenant's.
"""

import json
import os
import random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import schemathesis

KNOWN = json.loads(os.environ["LEARND_FUZZ"])
NOUNS = {"/datasets/": "datasets", "/networks/": "networks", "/runs/": "runs", "/batch-predictions/": "batches"}
# Named in `errors` of a 422, these say that what was sent does not suit what there is: other things, a file's content,
# a key that was used before. The schema of a request cannot know these, and the service must.
OF_WHAT_THERE_IS = (
    *("after", "dataset", "run", "model", "network", "version", "file", "types", "delimiter", "Idempotency-Key"),
    *("features", "target", "task", "loss", "class_weights", "sample_weight", "label_smoothing", "ensemble"),
    *("sweep", "members", "optimizer", "schedule", "early_stopping", "epochs", "batch_size", "test", "to_epochs"),
    *("validation.column", "validation.fold", "validation.folds", "validation.fraction"),
    *("instances", "inputs", "outputs", "parameters", "dataframe_split", "dataframe_records", "body"),
    *("x", "y", "epoch", "size", "member", "interval", "probabilities", "split"),
)
# Of a receipt, which a worker wrote.
OF_A_RECEIPT = (
    "Idempotency-Key",
    "spec",
    "seeds",
    "legs",
    "split_seed",
    "epochs",
    "receipt",
)

drawn = random.Random(os.environ.get("LEARND_FUZZ_SEED", "1"))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Send most requests to things that there are, and some to those of the other tenant."""
    if str((case.query or {}).get("wait", "")).isdigit():
        case.query["wait"] = "0"
    chance = drawn.random()
    if chance < 0.25:
        return
    known = KNOWN["own"] if chance < 0.8 else KNOWN["other"]
    path, parameters = case.operation.path, case.path_parameters
    for name in parameters or {}:
        noun = "models" if name in ("name", "ref") else next((NOUNS[each] for each in NOUNS if each in path), None)
        if name in ("id", "name", "ref") and noun is not None and drawn.random() < 0.9:
            parameters[name] = drawn.choice(known[noun])
    if "Idempotency-Key" in (case.headers or {}) and chance < 0.95:  # a key that was used before is the end of it
        case.headers["Idempotency-Key"] = f"{drawn.getrandbits(64):x}"
    if "after" in (case.query or {}) and chance < 0.9:
        del case.query["after"]
    if (case.media_type or "").startswith("application/json") and path.endswith("/predictions") and chance < 0.9:
        case.query = {}  # with JSON the options stand in the body
    if isinstance(case.body, dict) and chance < 0.7:
        for name, noun in (("dataset", "datasets"), ("run", "runs"), ("model", "models")):
            if isinstance(case.body.get(name), str):
                case.body[name] = drawn.choice(known[noun])
        if "target" in case.body and drawn.random() < 0.7:
            case.body["target"] = "species"
            case.body.pop("features", None)


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether the failure is one: not where a valid request does not suit what there is."""
    status = response.status_code
    if status in (412, 413) and type(failure).__name__ in ("RejectedPositiveData", "AcceptedNegativeData"):
        return False  # nothing was done, whatever else was wrong
    sent = case.media_type or ""
    is_raw = bool(sent) and not sent.startswith("application/json")
    if is_raw and type(failure).__name__ == "AcceptedNegativeData" and "in body" in failure.message:
        return False  # `true` is no string in JSON; as CSV it is a text like any other
    if type(failure).__name__ == "AcceptedNegativeData" and "in query" in failure.message:
        sent = {name for name, _ in parse_qsl(urlsplit(response.request.url).query, keep_blank_values=True)}
        return set(case.query or {}) <= sent  # of a parameter that was drawn as an empty list nothing is sent
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    if status == 507:
        return False
    if is_raw and status in (400, 422):
        return False  # the document does not say which bytes are a table
    if status != 422:
        return True
    fields = OF_A_RECEIPT if case.operation.path == "/v1/replays" else OF_WHAT_THERE_IS
    named = response.json()["errors"]
    return not all(
        messages[0].endswith("without NUL and without half a surrogate pair")  # which the document says of every text
        or any(path == field or path.startswith(f"{field}.") for field in fields)
        for path, messages in named.items()
    )


@schemathesis.serializer(
    "application/x-ndjson", "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"
)
def bytes_of(_context: Any, value: Any) -> bytes:
    """Return the text as it is: a table need not be one."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@schemathesis.check
def tenant_sees_nothing_of_another(ctx: Any, response: Any, case: Any) -> None:
    """Raise AssertionError where an answer holds what only the other tenant can know."""
    text = response.content.decode("utf-8", "replace")
    sent = f"{case.formatted_path} {case.path_parameters} {case.body} {case.query}"
    secrets = [KNOWN["mark"], *(id for noun, ids in KNOWN["other"].items() for id in ids if noun != "models")]
    for secret in secrets:
        assert secret not in text or secret in sent, "an answer holds what only the other tenant can know"


@schemathesis.check
def every_answer_has_a_request_id(ctx: Any, response: Any, case: Any) -> None:
    """Raise AssertionError for an answer without X-Request-Id, and for an error that is no problem details."""
    assert response.headers.get("x-request-id"), "an answer without X-Request-Id"
    if response.status_code >= 400 and case.method.upper() != "HEAD" and "/ready" not in case.path:
        (media,) = response.headers["content-type"]
        assert media == "application/problem+json", media
