"""SQLite has one writer: eight workers that write as fast as they can, and 128 POSTs at once, all get their turn."""

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.history import check
from tests.workers.running import wait_for

WORKERS, POSTS, EPOCHS = 8, 128, 5
STARVED_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
RECORDING = [sys.executable, "-P", "-m", "tests.faults.recording"]


@pytest.mark.parametrize("new_database_url", ["sqlite"], indirect=True)
def test_no_writer_is_starved_and_every_post_makes_its_run(new_house, times, tell):
    house = new_house(workers=0, reconciler=False)
    blob = house.blobs.put(b"weights")
    asked = {house.start(seed=0) for _ in range(WORKERS)}
    command = [*RECORDING, house.settings.database, blob, str(EPOCHS)]
    with ExitStack() as stack:
        recorders = [stack.enter_context(started(command)) for _ in range(WORKERS)]
        for each in recorders:
            stack.callback(each.kill)
        wait_for(lambda: any(house.run(id).attempt for id in asked), PATIENCE_SECONDS)
        for _ in range(times(1, 20)):
            with ThreadPoolExecutor(POSTS) as threads:
                posts = [threads.submit(house.start, key=uuid4().hex, seed=1) for _ in range(POSTS)]
            asked |= {each.result() for each in posts}
        told = [json.loads(each.communicate(timeout=PATIENCE_SECONDS)[0]) for each in recorders]
    answers = [each for each in house.log if each.path == "/v1/runs"]
    longest = [each["longest"] for each in told]
    slowest = max(each.seconds for each in answers)
    tell(f"POSTs: {Counter(each.status for each in answers)}, the longest {slowest:.3f} s")
    tell(f"workers waited {max(longest):.3f} s at most; of the runs each did {[len(each['ended']) for each in told]}")
    assert len(asked) == WORKERS + times(1, 20) * POSTS
    assert Counter(id for each in told for id in each["ended"]) == dict.fromkeys(asked, 1)
    assert max(longest) < STARVED_SECONDS * times(4, 1)  # the long form has the machine to itself
    check(house)  # and of each answer that it was none of 5xx but 503 with Retry-After


def started(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
