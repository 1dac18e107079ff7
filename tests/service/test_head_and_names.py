"""HEAD goes wherever GET does, and every answer has its request's id."""

from collections.abc import Iterator

import pytest

from tests.service.callers import Caller
from tests.service.refusals import House

NO_ID = "0" * 26


def addresses(caller: Caller, house: House) -> Iterator[tuple[str, str]]:
    """Each method of each route, at something that is there where there is one."""
    known = {
        "id('ds')": house.ids["iris"],
        "id('run')": house.ids["run"],
        "name": "iris",
        "ref": "iris",
        "alias": "prod",
    }
    for rule in caller.app.url_map.iter_rules():
        address = rule.rule
        for _ in rule.arguments:
            start = address.index("<")
            kind, _, name = address[start + 1 : address.index(">", start)].rpartition(":")
            value = known.get(name) or known.get(kind) or ("1" if "int" in kind else f"none_{NO_ID}")
            address = address[:start] + value + address[address.index(">", start) + 1 :]
        for method in sorted(rule.methods or ()):
            yield method, address


def test_head_answers_as_get_does_but_for_the_body(house: House) -> None:
    caller, seen = house.caller, 0
    for method, address in addresses(caller, house):
        if method != "GET":
            continue
        for headers in ({}, {"Accept": "text/event-stream"}) if address.endswith("/events") else ({},):
            with (
                caller.client.get(address, headers=headers) as get,
                caller.client.head(address, headers=headers) as head,
            ):
                assert head.status_code == get.status_code, address
                assert head.data == b""
                for name in ("Content-Type", "ETag", "Location", "Cache-Control", "Vary", "Content-Disposition"):
                    assert head.headers.get(name) == get.headers.get(name), (address, name)
                if get.content_length is not None and not address.startswith(("/metrics", "/v1/workers")):
                    assert head.content_length in (None, get.content_length), address
                seen += get.status_code == 200
    assert seen > 25


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_every_answer_has_its_requests_id(house: House, method: str) -> None:
    caller = house.caller
    for address in [
        *{address for _, address in addresses(caller, house)},
        "/nothing",
        "/v1/",
        "//",
        "/docs/../x",
        "/%ff",
    ]:
        if method == "DELETE" and NO_ID not in address:
            continue  # others still need what is there
        with caller.client.open(address, method=method, headers={"X-Request-Id": "mine-1"}) as answer:
            assert answer.headers["X-Request-Id"] == "mine-1", address
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            if answer.status_code >= 400 and not address.endswith("/ready"):
                assert answer.content_type == "application/problem+json", address
                if method != "HEAD":
                    assert answer.json["request_id"] == "mine-1"
