"""The events of a run as a stream that is cut at any byte: rejoined each time with the last id, it is the list."""

import os
import signal
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from typing import Any

from tests.faults.history import check
from tests.faults.house import House
from tests.service.streamed import Message, messages
from tests.workers.running import wait_for


class Listener:
    """Hears one run, over as many connections as it takes; `heard` is what arrived whole."""

    def __init__(self, house: House, run: str) -> None:
        self.heard: list[Message] = []
        self.cuts = 0
        self._port = house.settings.port
        self._path = f"/v1/runs/{run}/events"

    @property
    def ended(self) -> bool:
        return bool(self.heard) and self.heard[-1].event == "end"

    def listen(self, most_bytes: int, seconds: float) -> None:
        """Comes back, hears so many bytes for so long, and cuts the connection wherever that is."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=max(seconds, 0.01))
        headers = {"Accept": "text/event-stream"}
        if self.heard:
            headers["Last-Event-ID"] = self.heard[-1].id
        try:
            connection.request("GET", self._path, headers=headers)
            for message in messages(self._pieces(connection, most_bytes, time.monotonic() + seconds)):
                self.heard.append(message)
        except (OSError, HTTPException):  # it was the server's end that was cut, or nothing came in time
            pass
        finally:
            connection.close()
        self.cuts += not self.ended

    def _pieces(self, connection: HTTPConnection, left: int, until: float) -> Iterator[bytes]:
        response = connection.getresponse()
        assert response.status in (200, 503), response.read()
        while response.status == 200 and left > 0 and time.monotonic() < until and (piece := response.read1(left)):
            left -= len(piece)
            yield piece


def test_the_stream_of_one_life_cut_again_and_again_is_the_list(house, times, chance, tell):
    cuts = times(10, 100)
    run = house.start(epochs=100_000)
    listener = Listener(house, run)

    def hear_a_little() -> None:
        listener.listen(chance.randrange(2500), chance.uniform(0.0, 1.0))

    def is_paused_and_resumed() -> None:
        house.in_mid_run(run)
        house.verb(run, "pause")
        house.reached(run, "paused")
        hear_a_little()
        house.verb(run, "resume")

    def its_worker_is_killed() -> None:
        house.in_mid_run(run)
        attempt = house.run(run).attempt
        os.kill(house.slot_of(run), signal.SIGKILL)
        hear_a_little()
        wait_for(lambda: house.run(run).attempt > attempt)
        house.in_mid_run(run)

    def the_api_is_killed() -> None:
        house.api.kill()
        hear_a_little()
        house.api.start()

    def nothing_happens() -> None:
        wait_for(lambda: len(house.events(run)) > len(listener.heard) or house.run(run).status != "running")

    upsets: list[Any] = [is_paused_and_resumed, its_worker_is_killed, *times([], [the_api_is_killed])]
    when = dict(zip(chance.sample(range(cuts), len(upsets) * times(1, 3)), upsets * times(1, 3), strict=True))
    while listener.cuts < cuts:
        before = listener.cuts
        hear_a_little()
        for cut in range(before, listener.cuts):
            when.get(cut, nothing_happens)()
    house.in_mid_run(run)
    house.verb(run, "stop")
    epoch = house.reached(run, "succeeded").progress["epoch"]
    first_end = heard_to_the_end(listener)
    house.verb(run, "extend", to_epochs=epoch + 300)
    hear_a_little()
    second_end = heard_to_the_end(listener)
    tell(f"{len(listener.heard)} events over {listener.cuts} cuts")
    assert [message.data for message in listener.heard] == _listed(house, run)
    assert [int(message.id) for message in listener.heard] == [message.data["seq"] for message in listener.heard]
    assert [first_end.data, second_end.data] == [{"status": "succeeded"}] * 2
    check(house)


def heard_to_the_end(listener: Listener) -> Message:
    """What tells the end; whatever came before it stays with the listener."""
    wait_for(lambda: listener.ended or listener.listen(1 << 20, 5.0))
    return listener.heard.pop()


def _listed(house: House, run: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = {"has_more": True, "next": "0"}
    while page["has_more"]:
        page = house.client.get(f"/v1/runs/{run}/events", params={"limit": 1000, "after": page["next"]})
        found += page["data"]
    return found
