"""A run is watched without asking ten times a second: ETags, 304, and answers held back until something changes."""

import threading
import time

import pytest

from service import waiting as waiting_room
from tests.service.callers import Caller

LONG = 30


def test_an_etag_changes_with_the_run_and_only_then(caller: Caller, iris: str) -> None:
    address = f"/v1/runs/{caller.run(caller.dataset(iris))['id']}"
    first = caller.client.get(address).headers["ETag"]
    assert caller.client.get(address, headers={"If-None-Match": first}).status_code == 304
    caller.client.patch(address, json={"name": "x"})
    second = caller.client.get(address, headers={"If-None-Match": first})
    assert second.status_code == 200
    assert second.headers["ETag"] != first


@pytest.mark.parametrize("says_what_it_has", [False, True])
def test_waiting_ends_when_something_changes(caller: Caller, iris: str, says_what_it_has: bool) -> None:
    address = f"/v1/runs/{caller.run(caller.dataset(iris))['id']}"
    headers = {"If-None-Match": caller.client.get(address).headers["ETag"]} if says_what_it_has else {}
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(caller.app.test_client().get(f"{address}?wait={LONG}", headers=headers))
    )
    waiting.start()
    while not _someone_waits():
        time.sleep(0.001)
    begin = time.monotonic()
    caller.client.post(f"{address}/pause")
    waiting.join(LONG)
    assert time.monotonic() - begin < LONG / 6
    assert (answers[0].status_code, answers[0].json["status"]) == (200, "paused")


def _someone_waits() -> bool:
    return waiting_room._free._value < waiting_room._WAITERS


def test_waiting_for_nothing_ends_with_what_there_is(caller: Caller, iris: str) -> None:
    address = f"/v1/runs/{caller.run(caller.dataset(iris))['id']}"
    etag = caller.client.get(address).headers["ETag"]
    begin = time.monotonic()
    assert caller.client.get(f"{address}?wait=1").status_code == 200
    assert time.monotonic() - begin >= 1
    assert caller.client.get(f"{address}?wait=1", headers={"If-None-Match": etag}).status_code == 304


def test_what_is_final_or_unseen_is_not_waited_for(caller: Caller, iris: str) -> None:
    address = f"/v1/runs/{caller.run(caller.dataset(iris))['id']}"
    begin = time.monotonic()
    assert caller.client.get(f"{address}?wait={LONG}", headers={"If-None-Match": '"other"'}).status_code == 200
    caller.client.post(f"{address}/cancel")
    assert caller.client.get(f"{address}?wait={LONG}").json["status"] == "cancelled"
    assert time.monotonic() - begin < LONG / 6
