"""Eight threads ask for models at random, of many more than may stay; run as a process of its own, for its memory.

What it is told and what it tells is JSON: {"blobs", "most_models", "answers": {key: [number, …]}} on its standard
input, the blobs' URL, and what each model says to `ROW`; then on its standard output what was seen.
"""

import json
import random
import re
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from learning.columns import NumericColumn
from service.serving.served import ServedModels
from store.blobs import Blobs

FEATURES = 20
ROW = {f"x{place}": NumericColumn(torch.tensor([place / 7], dtype=torch.float64)) for place in range(FEATURES)}
THREADS = 8
REQUESTS = 120  # of a thread
_ROOM = 1 << 40


class Watched(Blobs):
    """Counts who reads which blob, and how many do so at the same time."""

    def __init__(self, url: str, cache: Path) -> None:
        super().__init__(url, cache)
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        self.reading: Counter[str] = Counter()
        self.most_at_once = 0
        self.reads: Counter[str] = Counter()

    def get(self, key: str) -> bytes:
        with self._lock:
            self.reads[key] += 1
            self.reading[key] += 1
            self.most_at_once = max(self.most_at_once, self.reading[key])
        content = super().get(key)
        with self._lock:
            self.reading[key] -= 1
        return content


def answer_of(model: Any) -> list[float]:
    return model.predict(ROW).outputs.flatten().tolist()


def memory(which: str) -> int:
    """Bytes: `VmRSS` are resident now, `VmHWM` were at the most."""
    found = re.search(rf"{which}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def main() -> None:
    told = json.load(sys.stdin)
    answers: dict[str, list[float]] = told["answers"]
    keys = sorted(answers)
    torch.set_num_threads(1)
    with TemporaryDirectory() as cache:
        blobs = Watched(told["blobs"], Path(cache))
        models = ServedModels(blobs, told["most_models"], _ROOM)
        together = random.Random(1).choices(keys, k=REQUESTS // 2)
        all_here = threading.Barrier(THREADS)

        def begin(_: int) -> None:
            # Whatever a thread's first answer, and a process's first models, bring with them is no model's.
            answer_of(ServedModels(blobs, 1, _ROOM).get(keys[0], None))
            all_here.wait()

        def ask(thread: int) -> int:
            own = random.Random(thread + 2).choices(keys, k=REQUESTS // 2)
            mixed = [key for both in zip(together, own, strict=True) for key in both]
            return sum(answer_of(models.get(key, None)) != answers[key] for key in mixed)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(begin, range(THREADS)))
            before, _ = memory("VmRSS"), blobs.reset()
            wrong = sum(pool.map(ask, range(THREADS)))
    seen = {
        "wrong": wrong,
        "loads": blobs.reads.total(),
        "most_at_once": blobs.most_at_once,
        "kept": len(models._ready),
        "counted": models._bytes,
        "grown": memory("VmRSS") - before,
        "peak": memory("VmHWM") - before,
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
