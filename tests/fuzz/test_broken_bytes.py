"""Broken bodies at every parser: refused with a reason, never a 5xx, whatever was done to the bytes."""

import random
from collections.abc import Callable

import pytest

from tests.fuzz.parsers import TARGETS, broken, pure
from tests.service.callers import Caller

EACH = 40


@pytest.fixture(scope="module")
def caller(new_caller: Callable[..., Caller], iris: str) -> Caller:
    caller = new_caller(max_upload_bytes=200_000)
    run = caller.trained(caller.dataset(iris), epochs=1)["id"]
    assert caller.client.post("/v1/models", json={"name": "iris", "run": run}).status_code == 201
    return caller


@pytest.mark.parametrize("name", TARGETS)
def test_broken_bytes_are_never_our_fault(caller: Caller, name: str, request: pytest.FixtureRequest) -> None:
    cases, target = request.config.getoption("--fuzz-cases"), TARGETS[name]
    seed = request.config.getoption("--seed") or (random.randrange(1 << 32) if cases else 1)
    drawn, accepted = random.Random(seed), 0
    whole = [target.parse(caller.client, seed).status_code for seed in target.seeds]
    assert min(whole) < 300 or name == "headers", whole  # what is broken is something that would be taken
    for number in range(max(EACH, cases // len(TARGETS))):
        data = broken(drawn.choice(target.seeds), drawn)
        answer = target.parse(caller.client, data)
        assert answer.status_code < 500, (name, seed, number, data, answer.text)
        if answer.status_code >= 400:
            assert answer.content_type == "application/problem+json"
            assert "Traceback" not in answer.text
        else:
            accepted += 1
        pure(data)
    print(f"{name}: seed {seed}, {accepted} of {number + 1} accepted")
