"""A worker: a Celery parent that fetches bells and forks, and warm children that claim runs and train them.

The parent imports no torch and opens no database: what it had, a fork would copy half alive.
"""

import logging
import os
import signal
import sys
import time
import warnings
from importlib import import_module
from typing import Any

import structlog
from celery import Celery, signals
from celery.platforms import SecurityWarning

from store import belonging, schema
from store.ids import new_id
from store.logs import write_logs
from store.settings import QUEUES, Settings
from workers.bells import TASK
from workers.drain import Drain

log = structlog.get_logger(__name__)

_FAILED_START_SECONDS = 5.0  # before the next child may try: loading torch for nothing takes a whole core
_CHILD_START_SECONDS = 300  # importing torch from a cold disk takes longer than the 4 s that Celery allows


def create_app(settings: Settings) -> Celery:
    """The app that both rings and hears the bell."""
    app = Celery("learnd", broker=settings.redis_url, set_as_current=False)
    app.conf.update(
        # Runs are in the database; losing a message loses nothing, so no acknowledgement is worth its price.
        task_acks_late=False,
        task_ignore_result=True,
        result_backend=None,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_proc_alive_timeout=_CHILD_START_SECONDS,
        worker_consumer="workers.bells:Listener",
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # Nothing in a message is ever run: JSON only.
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        task_default_queue=QUEUES[0],
        # A broker that is away is waited for without end, and delays nobody who rings.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_publish_retry=False,
        broker_transport_options={"socket_timeout": 5, "socket_connect_timeout": 2, "visibility_timeout": 300},
    )
    return app


def create_worker(settings: Settings) -> Any:
    """The Celery worker of this process, not yet started."""
    app, drain = create_app(settings), Drain()
    worker, parent = new_id("wk"), os.getpid()
    slots: list[Any] = []  # of a child: its one slot

    def start_child(**_: Any) -> None:
        try:
            # Imported here, in the child, because it loads torch.
            slots.append(import_module("workers.slot").Slot(settings, drain, worker, parent))
        except Exception:  # Celery would go on with a child that cannot work
            log.exception("a child could not start")
            time.sleep(_FAILED_START_SECONDS)
            raise SystemExit(os.EX_SOFTWARE) from None

    def end_child(**_: Any) -> None:
        for slot in slots:
            slot.leave()

    def work(*_: Any, **__: Any) -> None:
        slots[0].work()

    def shut_down(**_: Any) -> None:
        drain.ask_all()
        # A child that does not come to its next pulse in time dies with this process, as if it had crashed.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, settings.drain_seconds)

    app.task(work, name=TASK)
    signals.setup_logging.connect(_logs_are_set_up, weak=False)
    signals.worker_process_init.connect(start_child, weak=False)
    signals.worker_process_shutdown.connect(end_child, weak=False)
    signals.worker_shutting_down.connect(shut_down, weak=False)
    return app.Worker(
        pool="prefork",
        concurrency=settings.slots,
        queues=list(settings.queue_names),
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )


def _logs_are_set_up(**_: Any) -> None:
    """Whoever listens to this signal keeps Celery from setting up logs of its own."""


def main() -> None:
    settings = Settings.from_environment()
    if not settings.redis_url:
        print("a worker hears of new runs through a broker: set LEARND_REDIS_URL, or use `learnd up`", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    try:
        _ = settings.queue_names
    except ValueError as error:
        print(f"LEARND_QUEUES: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    try:
        schema.check(settings.database)
    except schema.WrongSchema as reason:
        print(reason, file=sys.stderr)  # noqa: T201
        sys.exit(1)
    write_logs(settings.log_level)
    if refusal := belonging.refusal(settings):
        print(refusal, file=sys.stderr)  # noqa: T201
        sys.exit(1)
    for library in ("celery", "kombu"):
        logging.getLogger(library).setLevel(logging.WARNING)  # a line for every bell tells nobody anything
    # Celery warns a superuser of what a pickled message could do; here a message is JSON, and not even believed.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    worker = create_worker(settings)
    worker.start()
    sys.exit(worker.exitcode)
