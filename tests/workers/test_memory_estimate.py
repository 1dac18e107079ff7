"""What the service says that a run will need is what a worker needs for it, or somewhat more."""

import sys

import pytest

from tests.workers.memory_of_runs import told

SEEDS = {"short": (5, 8), "full": (0, 50)}
SMALL = 64 << 20  # below this, much of it is what libraries do at first calls
MOST_TIMES = 1.5


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of processes from Linux's /proc")
def test_estimate_covers_training_and_evaluation_and_is_not_far_above(pytestconfig):
    first, last = SEEDS["full" if pytestconfig.getoption("--full") else "short"]
    too_little, too_much = [], []
    for seed, found in told(first, last):
        peak = max(found["trained"], found["evaluated"])
        print(seed, found, f"{found['estimate'] / peak:.2f}")
        if found["estimate"] < peak:
            too_little.append((seed, found))
        if found["estimate"] > MOST_TIMES * max(peak, SMALL):
            too_much.append((seed, found))
    assert not too_little
    assert not too_much
