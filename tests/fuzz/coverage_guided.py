"""Guided by coverage: python -m tests.fuzz.coverage_guided TARGET [-runs=N] [-max_total_time=SECONDS]

It needs `pip install atheris` (Python 3.11 to 3.13 on Linux). TARGET is one of `parsers.TARGETS`. Whatever is answered
with a 5xx ends it, and leaves the bytes in a file.
"""

import logging
import shutil
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["service", "store.tabular", "tests.fuzz.parsers"]):
    from service.app import create_app
    from store.migrating import upgrade
    from store.settings import Settings
    from tests.fuzz.parsers import TARGETS, pure
    from tests.service.callers import Caller

IRIS = Path(__file__).parents[2] / "examples" / "iris.csv"


def main() -> None:
    name, folder = sys.argv[1], Path(tempfile.mkdtemp(prefix="learnd-fuzz-"))
    logging.disable()
    settings = Settings(data_dir=folder, max_upload_bytes=200_000)
    upgrade(settings.database)
    app = create_app(settings)
    caller = Caller(app, app.test_client())
    run = caller.trained(caller.dataset(IRIS.read_text()), epochs=1)["id"]
    caller.client.post("/v1/models", json={"name": "iris", "run": run})
    target, seeds = TARGETS[name], folder / "seeds"
    seeds.mkdir()
    for number, seed in enumerate(target.seeds):
        (seeds / str(number)).write_bytes(seed)

    def once(data: bytes) -> None:
        answer = target.parse(caller.client, data)
        if answer.status_code >= 500:
            raise RuntimeError(answer.text)
        pure(data)

    try:
        atheris.Setup([sys.argv[0], *sys.argv[2:], f"-artifact_prefix={Path.cwd()}/", str(seeds)], once)
        atheris.Fuzz()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
