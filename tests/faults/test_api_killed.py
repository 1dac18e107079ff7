"""The API is killed while clients post, and many post the same at once: each key makes one run."""

import threading
from concurrent.futures import ThreadPoolExecutor

from tests.faults.history import check

CLIENTS = 8
AT_ONCE = 64


def test_an_api_that_is_killed_makes_each_run_once(new_house, times, chance, tell):
    house = new_house(workers=0, reconciler=False)
    count, pause = times(40, 1_000), times(20, 150)
    body = house.body()
    done = threading.Event()

    def kill_on() -> int:
        kills = 0
        while not done.is_set():
            mark = len(house.log) + chance.randrange(1, pause)
            while len(house.log) < mark and not done.wait(0.001):
                pass
            if not done.is_set():
                house.api.kill()
                kills += 1
                house.api.start()
                tell(f"{kills} kills, {house.statuses().total()} of {count} runs")
        return kills

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        killing = pool.submit(kill_on)
        posting = [pool.submit(house.start, key=f"key-{number}", **body) for number in range(count)]
        ids = [each.result() for each in posting]
        done.set()
        assert killing.result() >= 1
    assert len(set(ids)) == count
    assert house.statuses() == {"queued": count}
    assert any(answer.status is None for answer in house.log), "some request was cut off"
    check(house)


def test_equal_requests_at_once_make_one_run(new_house, full, times, tell):
    """Beside workers that write all the time, in the long form."""
    house = new_house(workers=times(0, 2), reconciler=full)
    busy = [house.start(epochs=100_000, seed=seed) for seed in range(len(house.workers))]
    for id in busy:
        house.in_mid_run(id)
    rounds = times(3, 100)
    for number in range(rounds):
        together, key = threading.Barrier(AT_ONCE), f"round-{number}"

        def post(together: threading.Barrier = together, key: str = key) -> str:
            together.wait()
            return house.start(key=key)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            ids = {each.result() for each in [pool.submit(post) for _ in range(AT_ONCE)]}
        assert len(ids) == 1
        tell(f"round {number + 1}")
    assert house.statuses().total() == rounds + len(busy)
    check(house)
