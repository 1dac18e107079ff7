"""Workers are killed all the time: every run succeeds all the same, with the bits it has when nobody disturbs it."""

import os
import signal
import time

from tests.faults.history import check

SPECS = [
    {"network": {"layers": [{"units": 32, "dropout": 0.2}]}},
    {"network": {"layers": [{"units": 32, "normalization": "batch"}]}},
    {"schedule": {"name": "cosine"}, "optimizer": {"name": "adamw", "weight_decay": 0.01}},
    {"sweep": {"seed": [0, 1, 2, 3, 4, 5, 6, 7]}},
    {"validation": {"folds": 3}},
]


def test_every_run_survives_a_storm_of_kills(new_house, full, times, chance, tell):
    house = new_house(workers=times(2, 4), checkpoint_seconds=0.2)
    epochs = times(400, 1_000)  # a second or two beside the others, so that there is something to be hit
    specs = [{"epochs": epochs, **spec} for spec in SPECS[: times(2, 5)]]
    quiet = [house.ended(house.start(**spec)) for spec in specs]
    assert [run.attempt for run in quiet] == [1] * len(specs), "nobody disturbs them"
    count = times(8, 200)
    ids = [house.start(**specs[index % len(specs)]) for index in range(count)]
    kills, enough = 0, 3
    until = time.monotonic() + times(300, 7200)
    while (left := unfinished(house)) or kills < enough:
        assert time.monotonic() < until, house.statuses()
        if not left:  # this machine was quicker than the storm
            ids.append(house.start(**specs[len(ids) % len(specs)]))
        if full or kills < enough:
            kills += strike(house, chance)
        time.sleep(chance.uniform(1, 5) if full else chance.uniform(0.2, 0.6))
        revive(house)
        tell(f"{kills} kills, {left} of {len(ids)} runs are left")
    for index, id in enumerate(ids):
        run = house.run(id)
        assert (run.status, run.error) == ("succeeded", None), id
        assert run.weights_sha256 == quiet[index % len(specs)].weights_sha256, id
    check(house)


def unfinished(house):
    return sum(count for status, count in house.statuses().items() if status in ("queued", "running"))


def strike(house, chance):
    """A random child or parent, idle or in mid-run; none that still starts, nor the last that works: on a slow machine
    nothing would ever be done.
    """
    warm = {slot.pid for slot in house.slots()}
    workers = {worker.pid: warm.intersection(worker.children()) for worker in house.workers if worker.is_running()}
    victims = {parent: children for parent, children in workers.items() if children}
    if len(victims) < 2:
        return False
    parent = chance.choice(sorted(victims))
    os.kill(chance.choice([parent, *sorted(victims[parent])]), signal.SIGKILL)
    return True


def revive(house):
    """As `learnd up`, systemd or Kubernetes would."""
    for worker in house.workers:
        if not worker.is_running():
            worker.start(ready=False)
