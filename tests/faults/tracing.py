"""A worker that writes down where each of its trainings stands at each pulse: `python -m tests.faults.tracing`.

One file for each attempt, `trace-*` in the data folder, in the order in which they began; a line of it is an epoch and
a step.
"""

import os
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from celery import signals

from store.settings import Settings
from workers.app import main


def patch_child(**_: Any) -> None:
    driving = import_module("workers.driving")  # in the child, which alone may load torch
    whole, folder = driving.fit, Settings.from_environment().data_dir

    def fit(*arguments: Any, **named: Any) -> Iterator[Any]:
        with (folder / f"trace-{time.time_ns()}-{os.getpid()}").open("w") as trace:
            for pulse in whole(*arguments, **named):
                print(pulse.epoch, pulse.step, file=trace, flush=True)
                yield pulse

    driving.fit = fit


def traces(folder: Path) -> list[list[tuple[int, int]]]:
    """What each attempt has written since this was last asked for."""
    found = []
    for file in sorted(folder.glob("trace-*")):
        lines = [line.split() for line in file.read_text().splitlines()]
        found.append([(int(epoch), int(step)) for epoch, step in lines])
        file.unlink()
    return found


if __name__ == "__main__":
    signals.worker_process_init.connect(patch_child, weak=False)
    main()
