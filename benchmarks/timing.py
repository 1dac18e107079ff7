"""Contestants timed in turn, so that whatever else the machine does meets all of them alike."""

import time
from collections.abc import Callable, Mapping
from statistics import median


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def medians(calls: Mapping[str, Callable[[], object]], rounds: int, limit: float) -> dict[str, float]:
    """Seconds of each: the median over rounds in which all are called once, less who has taken `limit` seconds."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            if sum(found[name]) < limit:
                found[name].append(seconds(call))
    return {name: median(times) for name, times in found.items()}
