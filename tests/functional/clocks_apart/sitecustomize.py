"""Loaded by each Python process whose PYTHONPATH has this folder: sets its clock apart from the others'.

LEARND_CLOCKS is JSON: of a module that is run by `python -m`, how many seconds its process's clock is ahead.
"""

import datetime as dt
import json
import os
import sys
import time

_shift = next((s for name, s in json.loads(os.environ.get("LEARND_CLOCKS", "{}")).items() if name in sys.orig_argv), 0)


class _Shifted(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
        return super().now(tz) + dt.timedelta(seconds=_shift)


if _shift:
    _time, _time_ns = time.time, time.time_ns
    time.time = lambda: _time() + _shift
    time.time_ns = lambda: _time_ns() + _shift * 10**9
    import store.moments

    store.moments.datetime = _Shifted  # type: ignore[misc, attr-defined]
