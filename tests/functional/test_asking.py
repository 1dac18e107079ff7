"""The four verbs, asked of runs that are in the middle of training."""

from tests.functional.running import LONG


def types(service, id):
    return [event["type"] for event in service.events(id) if event["type"] != "run.progress"]


def test_a_cancelled_run_ends_and_keeps_nothing(service, iris):
    id = service.start(iris, epochs=50_000)
    service.in_mid_run(id)
    assert service.post(f"/v1/runs/{id}/cancel")["status"] == "cancelling"
    run = service.ended(id)
    assert (run["status"], run["weights_sha256"]) == ("cancelled", None)
    assert types(service, id) == ["run.queued", "run.started", "run.cancelling", "run.cancelled"]
    assert service.client.post(f"/v1/runs/{id}/cancel").status_code == 202


def test_a_stopped_run_succeeds_with_its_best_so_far(service, iris):
    id = service.start(iris, epochs=50_000)
    service.in_mid_run(id)
    service.post(f"/v1/runs/{id}/stop")
    run = service.ended(id)
    assert run["status"] == "succeeded"
    assert 0 < run["best"]["epoch"] <= run["progress"]["epoch"] < 50_000
    assert run["members"][0]["status"] == "succeeded"
    short = service.ended(service.start(iris, epochs=run["progress"]["epoch"]))
    assert short["weights_sha256"] == run["weights_sha256"]


def test_a_paused_run_leaves_its_worker_to_others_and_resumes_to_the_same_weights(service, iris, quiet_hash):
    id = service.start(iris, **LONG)
    service.in_mid_run(id)
    assert service.post(f"/v1/runs/{id}/pause")["status"] == "pausing"
    service.reached(id, "paused")
    other = service.ended(service.start(iris, epochs=2))
    assert other["status"] == "succeeded"
    assert service.run(id)["status"] == "paused"
    assert service.post(f"/v1/runs/{id}/resume")["status"] == "queued"
    run = service.ended(id)
    assert (run["status"], run["attempt"], run["weights_sha256"]) == ("succeeded", 2, quiet_hash)
    assert types(service, id) == [
        "run.queued",
        "run.started",
        "run.pausing",
        "run.checkpointed",
        "run.paused",
        "run.queued",
        "run.resumed",
        "run.succeeded",
    ]
    told = [event["data"]["epoch"] for event in service.events(id) if event["type"] == "run.progress"]
    assert told == sorted(set(told))


def test_a_run_that_waits_is_cancelled_at_once(service, iris):
    first = service.start(iris, epochs=50_000)
    service.in_mid_run(first)
    waiting = service.start(iris, epochs=5)
    assert service.run(waiting)["queue_position"] == 0
    assert service.post(f"/v1/runs/{waiting}/cancel")["status"] == "cancelled"
    service.post(f"/v1/runs/{first}/cancel")
    service.ended(first)
