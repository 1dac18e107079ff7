"""Ringing for workers: a message that says "look", sent off the request's thread.

The row in the database is the truth, so a bell that is lost harms nothing: the reconciler rings for whatever waits.
Therefore nothing here retries, waits long, or can fail a request; a broker that hangs costs this thread two seconds.
"""

import queue
import threading

import structlog
from celery import Celery

log = structlog.get_logger(__name__)

_TASK = "learnd.work"
_WAITING = 256  # bells; beyond it the reconciler is told enough by the rows
_PING_SECONDS = 0.4
_ENOUGH = 64  # unheard in a queue: each is heard as "claim until there is nothing", and more would only fill the broker


class Bell:
    def __init__(self, broker_url: str) -> None:
        """Without a broker's URL the bell is mute."""
        self._celery = _producer(broker_url) if broker_url else None
        self._bells: queue.Queue[tuple[str, str]] = queue.Queue(_WAITING)
        self._lock = threading.Lock()
        self._ringer: threading.Thread | None = None

    def ring(self, queue_name: str, run_id: str) -> None:
        if self._celery is None:
            return
        self._start()
        try:
            self._bells.put_nowait((queue_name, run_id))
        except queue.Full:
            log.debug("bell dropped", run=run_id)

    def answers(self) -> bool:
        """Whether the broker answers at once: whoever asks is a probe that gives up after a second itself."""
        if self._celery is None:
            return False
        try:
            with self._celery.connection_for_write() as connection:
                connection.transport_options.update(socket_connect_timeout=_PING_SECONDS, socket_timeout=_PING_SECONDS)
                connection.ensure_connection(max_retries=0)
                connection.default_channel.client.ping()
        except Exception as error:  # noqa: BLE001  (whatever the transport raises means no)
            log.debug("broker does not answer", error=str(error))
            return False
        return True

    def _start(self) -> None:
        # At the first ring and not before: a server may fork after the app was made, and threads do not survive it.
        if self._ringer is not None and self._ringer.is_alive():
            return
        with self._lock:
            if self._ringer is None or not self._ringer.is_alive():
                self._ringer = threading.Thread(target=self._ring_on, name="bell", daemon=True)
                self._ringer.start()

    def _ring_on(self) -> None:
        while True:
            queue_name, run_id = self._bells.get()
            try:
                self._send(queue_name, run_id)
            except Exception as error:  # noqa: BLE001  (whatever the transport raises, the row stands)
                log.warning("bell not heard", run=run_id, error=str(error))

    def _send(self, queue_name: str, run_id: str) -> None:
        assert self._celery is not None
        with self._celery.producer_or_acquire() as producer:
            if producer.channel.queue_declare(queue_name).message_count < _ENOUGH:
                self._celery.send_task(
                    _TASK, args=[run_id], queue=queue_name, producer=producer, retry=False, ignore_result=True
                )


def _producer(broker_url: str) -> Celery:
    celery = Celery("learnd.bell", broker=broker_url, set_as_current=False)
    celery.conf.update(
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_publish_retry=False,
        broker_connection_timeout=2,
        broker_transport_options={
            "socket_connect_timeout": 2,
            "socket_timeout": 2,
            "retry_on_timeout": False,
            "visibility_timeout": 300,
        },
    )
    return celery
