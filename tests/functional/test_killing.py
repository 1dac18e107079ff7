"""kill -9 in the middle of a run: the run ends as it would have, and nothing is left behind."""

import os
import signal

from tests.functional.running import IRIS, LONG, alive, wait_for


def disturbed(service, id, quiet_hash, *saved):
    """The run has succeeded at its second attempt, with the weights of a run that nobody disturbed."""
    run = service.ended(id)
    assert (run["status"], run["attempt"], run["weights_sha256"]) == ("succeeded", 2, quiet_hash)
    events = service.events(id)
    assert [event["type"] for event in events if event["type"] != "run.progress"] == [
        "run.queued",
        "run.started",
        *saved,
        "run.interrupted",
        "run.resumed",
        *([] if saved else ["run.checkpointed"]),  # after a loss the first step further is saved at once
        "run.succeeded",
    ]
    told = [event["data"]["epoch"] for event in events if event["type"] == "run.progress"]
    assert told == sorted(set(told))


def test_the_training_child(service, iris, quiet_hash):
    worker = service.warm()
    id = service.start(iris, **LONG)
    service.in_mid_run(id)
    (slot,) = worker["slots"]
    os.kill(slot["pid"], signal.SIGKILL)
    disturbed(service, id, quiet_hash)
    assert service.workers()[0]["pid"] == worker["pid"]


def test_the_worker(service, iris, quiet_hash):
    worker = service.warm()
    id = service.start(iris, **LONG)
    service.in_mid_run(id)
    before = {process for process in service.processes() if process[0] in (worker["pid"], worker["slots"][0]["pid"])}
    assert len(before) == 2
    os.kill(worker["pid"], signal.SIGKILL)
    wait_for(lambda: not any(map(alive, before)))
    disturbed(service, id, quiet_hash)


def test_every_other_part_is_started_again(service, iris):
    worker = service.warm()
    spared = {service.pid, worker["pid"], *(slot["pid"] for slot in worker["slots"])}
    for process in sorted(service.processes(), reverse=True):  # children before the parents that take them along
        if process[0] not in spared:
            os.kill(process[0], signal.SIGKILL)
            wait_for(lambda process=process: not alive(process))
            wait_for(service.is_ready)
    run = service.ended(service.start(iris, epochs=2))
    assert (run["status"], run["attempt"]) == ("succeeded", 1)
    assert service.workers()[0]["id"] == worker["id"]


def test_learnd_up_itself_and_a_new_start(launch, quiet_hash):
    service = launch()
    service.warm()
    iris = service.upload(IRIS.read_bytes(), "iris")
    id = service.start(iris, **LONG)
    service.in_mid_run(id)
    processes = service.processes()
    assert len(processes) >= 7  # itself, the broker, two of the API, two of the worker, the reconciler
    socket_folder = service.socket.parent.resolve()
    service.stop(signal.SIGKILL)
    wait_for(lambda: not any(map(alive, processes)))
    again = launch()
    disturbed(again, id, quiet_hash)
    assert not socket_folder.exists()


def test_a_stop_hands_the_run_back_and_leaves_no_process_and_no_socket(launch, quiet_hash):
    service = launch()
    service.warm()
    iris = service.upload(IRIS.read_bytes(), "iris")
    id = service.start(iris, **LONG)
    service.in_mid_run(id)
    processes, socket_folder = service.processes(), service.socket.parent.resolve()
    assert service.stop(signal.SIGINT) == 0
    assert not any(map(alive, processes))
    assert not socket_folder.exists()
    again = launch()
    disturbed(again, id, quiet_hash, "run.checkpointed")
    interrupted = next(event for event in again.events(id) if event["type"] == "run.interrupted")
    assert interrupted["data"] == {"attempt": 1, "reason": "drained"}
