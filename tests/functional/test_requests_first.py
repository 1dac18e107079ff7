"""On one machine, training and imports leave the processor to the requests."""

import os
import threading
from pathlib import Path

from store.processes import BACKGROUND_NICENESS
from tests.functional.running import LONG, wait_for


def niceness(service, words: bytes) -> set[int]:
    """Return those of the service's processes with these words in their command."""
    found = set()
    for pid, _ in service.processes():
        try:
            if words in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(os.getpriority(os.PRIO_PROCESS, pid))
        except OSError:  # it has ended meanwhile
            continue
    return found


def test_training_leaves_the_processor_to_requests(service, iris):
    run = service.start(iris, **LONG)
    service.in_mid_run(run)
    assert niceness(service, b"workers") == {0, BACKGROUND_NICENESS}  # the reconciler does little, and at once
    assert niceness(service, b"service.server") == {0}
    service.post(f"/v1/runs/{run}/cancel")
    service.ended(run)


def test_imports_leave_the_processor_to_requests(service):
    table = b"a,b\n" + b"1,x\n" * 2_000_000
    upload = threading.Thread(target=service.upload, args=(table, "long"))
    upload.start()
    try:
        wait_for(lambda: niceness(service, b"store.tabular.importer") == {0, BACKGROUND_NICENESS})
    finally:
        upload.join()
