"""A worker whose first training hangs for ever in mid-run, beating all the while, as in a call to a device that never
returns: `python -m tests.faults.hanging`. Every other one goes on as usual.
"""

import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from celery import signals

from store.settings import Settings
from workers.app import main

_AT_EPOCH = 3


def patch_child(**_: Any) -> None:
    driving = import_module("workers.driving")  # in the child, which alone may load torch
    whole, hung = driving.fit, Settings.from_environment().data_dir / "hung"

    def fit(*arguments: Any, **named: Any) -> Iterator[Any]:
        for pulse in whole(*arguments, **named):
            yield pulse
            if pulse.epoch >= _AT_EPOCH and not hung.exists():
                hung.touch()
                threading.Event().wait()

    driving.fit = fit


if __name__ == "__main__":
    signals.worker_process_init.connect(patch_child, weak=False)
    main()
