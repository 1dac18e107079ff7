"""Event streams through the real server: sent piece by piece, freed by whoever goes away, no hindrance to a stop."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

from tests.functional.running import IRIS, LONG, wait_for
from tests.service.streamed import messages

STREAM = {"Accept": "text/event-stream"}
PLACES = 32
LATER = (datetime.now(UTC) + timedelta(hours=1)).isoformat()


@contextmanager
def listening(service, run):
    with service.client.stream("GET", f"/v1/runs/{run}/events", headers=STREAM) as answer:
        assert answer.status_code == 200, answer.read()
        yield messages(answer.iter_raw())


def test_each_event_is_sent_as_it_happens(service, iris):
    run = service.start(iris, not_before=LATER)
    with listening(service, run) as coming:
        assert next(coming).event == "run.queued"
        service.post(f"/v1/runs/{run}/pause")
        assert next(coming).event == "run.paused"
        service.post(f"/v1/runs/{run}/cancel")
        assert [message.event for message in coming] == ["run.cancelled", "end"]


def test_a_training_is_told_while_it_goes_on(service, iris):
    run = service.start(iris, **LONG)
    with listening(service, run) as coming:
        for message in coming:
            if message.event == "run.progress":
                break
        assert service.run(run)["status"] == "running"
        service.post(f"/v1/runs/{run}/cancel")
        *told, end = coming
    assert (end.event, end.data) == ("end", {"status": "cancelled"})
    assert [each["seq"] for each in service.events(run)][-1] == int(told[-1].id)


def test_whoever_goes_away_leaves_a_place_to_others(service, iris):
    run = service.start(iris, not_before=LATER)
    address = f"/v1/runs/{run}/events"
    for _ in range(2):
        with ExitStack() as stack:
            streams = [wait_for(lambda at=stack: _place(service, address, at), 10) for _ in range(PLACES)]
            for coming in streams:
                assert next(coming).event == "run.queued"
            refused = service.client.get(address, headers=STREAM)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert service.client.get(address).status_code == 200
        # Those who went away are noticed a moment later; and a HEAD leaves every place to the next round's streams.
        wait_for(lambda: service.client.head(address, headers=STREAM).status_code == 200, 10)
    service.post(f"/v1/runs/{run}/cancel")


def _place(service, address, stack):
    """A stream, once there is a place for it: those who went away are noticed a moment later."""
    answer = stack.enter_context(service.client.stream("GET", address, headers=STREAM))
    return answer.status_code == 200 and messages(answer.iter_raw())


def test_streams_and_waits_end_when_the_service_is_stopped(launch):
    service = launch()
    run = service.start(service.upload(IRIS.read_bytes(), "iris"), not_before=LATER)
    with listening(service, run) as coming, ThreadPoolExecutor() as threads:
        asked = threading.Event()

        def note(step, _info):
            if step.endswith("send_request_body.complete"):
                asked.set()

        waiting = threads.submit(service.client.get, f"/v1/runs/{run}?wait=30", extensions={"trace": note})
        next(coming)
        assert asked.wait(10)
        service._process.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        assert list(coming) == []  # its end, and not a connection that was cut
        assert waiting.result().json()["status"] == "queued"
        assert time.monotonic() - begin < 3, "before the server's patience ended"
    assert service.stop() == 0
    assert "kill" not in (service.folder / "log").read_text().lower()
