"""Which process has what: a parent that can fork safely, and a child that is warm."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
from celery import current_app
from sqlalchemy import select

from store import memory
from store.settings import Settings
from store.tables import leases
from tests.workers.running import alive, wait_for
from workers.app import create_app


def maps(pid):
    return Path(f"/proc/{pid}/maps").read_text()


def files(pid):
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(each.readlink()))
    return found


def test_the_parent_has_neither_torch_nor_a_database_and_the_child_has_both(yard):
    worker = yard.start_worker()
    child = yard.child_of(worker)
    assert "libtorch" not in maps(worker.pid)
    assert "libtorch" in maps(child)
    yard.reached(yard.add_run(), "succeeded")
    assert not [path for path in files(worker.pid) if "learnd.db" in path]
    assert [path for path in files(child) if "learnd.db" in path]


def test_a_child_offers_itself_when_memory_is_short(yard):
    worker = yard.start_worker()
    assert Path(f"/proc/{yard.child_of(worker)}/oom_score_adj").read_text().strip() == "500"


def test_a_beat_tells_what_memory_the_process_of_a_run_holds_and_may_hold(yard):
    worker = yard.start_worker()
    id = yard.add_run(epochs=50_000)
    yard.in_mid_run(id)

    def beaten():
        with yard.database.read() as tx:
            return tx.execute(
                select(leases.c.memory, leases.c.memory_limit).where(leases.c.memory.is_not(None))
            ).first()

    held, limit = wait_for(beaten)
    pages = int(Path(f"/proc/{yard.child_of(worker)}/statm").read_text().split()[1])
    assert held == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE"), rel=0.3)
    assert limit == memory.limit()


def test_a_killed_parent_takes_its_children_along(yard):
    worker = yard.start_worker()
    child = yard.child_of(worker)
    worker.kill()
    wait_for(lambda: not alive(child))


def test_the_worker_is_listed_with_its_slot_and_the_run_that_it_trains(yard):
    worker = yard.start_worker()
    (listed,) = yard.workers()
    assert (listed.pid, listed.queues, listed.device, len(listed.slots)) == (worker.pid, ["cpu"], "cpu", 1)
    id = yard.add_run(epochs=50_000)
    yard.in_mid_run(id)
    assert yard.workers()[0].slots[0].run == id
    worker.terminate()
    assert worker.wait(30) == 0
    wait_for(lambda: not yard.workers())


def test_the_settings_of_celery_are_those_that_the_design_names():
    app = create_app(Settings(redis_url="redis://broker"))
    named = {
        "task_acks_late": False,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "result_backend": None,
        "task_ignore_result": True,
        "accept_content": ["json"],
        "task_serializer": "json",
        "worker_enable_remote_control": False,
        "broker_connection_max_retries": None,
        "broker_connection_retry_on_startup": True,
        "task_publish_retry": False,
        "broker_transport_options": {"socket_timeout": 5, "socket_connect_timeout": 2, "visibility_timeout": 300},
    }
    assert {name: app.conf[name] for name in named} == named
    assert app is not current_app._get_current_object()
