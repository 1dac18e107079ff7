"""When a lease has been still for too long, by the reconciler's own clock."""

from types import SimpleNamespace

import pytest

from workers.reconciler import Watch


def lease(seq, attempt=1, run="run_a"):
    return SimpleNamespace(place=run, attempt=attempt, seq=seq)


@pytest.fixture
def clock():
    return SimpleNamespace(now=1000.0)


@pytest.fixture
def watch(clock):
    return Watch(2.0, lambda: clock.now)


def test_a_lease_that_moves_is_never_still(watch, clock):
    for seq in range(50):
        clock.now += 1.0
        watch.look([lease(seq)])
        assert watch.still_for(lease(seq)) == 0.0


def test_a_lease_that_does_not_move_is_still_for_the_time_that_was_watched(watch, clock):
    for seconds in range(50):
        watch.look([lease(7)])
        assert watch.still_for(lease(7)) == pytest.approx(seconds)
        clock.now += 1.0


def test_a_clock_that_jumps_counts_as_one_step(watch, clock):
    watch.look([lease(7)])
    clock.now += 86_400.0
    watch.look([lease(7)])
    assert watch.still_for(lease(7)) == 2.0


def test_the_time_in_which_nothing_could_be_seen_does_not_count(watch, clock):
    watch.look([lease(7)])
    clock.now += 1.0
    watch.look([lease(7)])
    for _ in range(100):
        clock.now += 1.0
        watch.blink()
    watch.look([lease(7)])
    assert watch.still_for(lease(7)) == 1.0
    clock.now += 1.0
    watch.look([lease(7)])
    assert watch.still_for(lease(7)) == 2.0


def test_another_attempt_begins_anew(watch, clock):
    for _ in range(3):
        clock.now += 1.0
        watch.look([lease(7, attempt=1)])
    clock.now += 1.0
    watch.look([lease(7, attempt=2)])
    assert watch.still_for(lease(7, attempt=2)) == 0.0
