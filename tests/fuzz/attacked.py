"""A service with two tenants, each with one of everything, to be fuzzed by the key of either."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from service.app import create_app
from store import keys, tenants
from store.settings import Settings
from tests.service.callers import Caller

IRIS = Path(__file__).parents[2] / "examples" / "iris.csv"
FIRST_KEY = "a-key-for-fuzzing-7f3a91c0e8"
LIMITS = {"max_upload_bytes": 200_000, "max_members": 8, "max_parameters": 100_000}
MARK = "only-of-tenant-"

Known = dict[str, list[str]]


class Tenant:
    """One tenant's key, and the ids of what it has."""

    def __init__(self, name: str, secret: str, known: Known) -> None:
        self.name, self.secret, self.known = name, secret, known


class Attacked:
    def __init__(self, folder: Path, template: Path) -> None:
        self.folder = folder
        shutil.copy(template, folder)
        settings = Settings(data_dir=folder, bootstrap_key=FIRST_KEY, **LIMITS)
        app = create_app(settings)
        caller = Caller(app, app.test_client())
        with caller.parts.database.write() as tx:
            other = tenants.create(tx, "other")
            secret = keys.create(tx, other, keys.SCOPES)
        self.tenants = [_furnished(caller, "one", FIRST_KEY), _furnished(caller, "two", secret)]
        caller.parts.database.close()
        self._start(folder)

    def _start(self, folder: Path) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        named = {name.upper(): str(value) for name, value in LIMITS.items()}
        named |= {"DATA_DIR": str(folder), "BOOTSTRAP_KEY": FIRST_KEY, "PORT": str(self.port), "LOG_LEVEL": "error"}
        environment = os.environ | {f"LEARND_{name}": value for name, value in named.items()}
        self.log = (folder / "api.log").open("wb")
        command = [sys.executable, "-m", "service.server"]
        self.process = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log)
        until = time.monotonic() + 60
        while True:
            try:
                urlopen(f"{self.address}/healthz", timeout=1).close()
            except OSError:
                assert self.process.poll() is None, "the service did not start"
                assert time.monotonic() < until, "the service did not answer in time"
                time.sleep(0.05)
            else:
                return

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.log.close()

    def fuzz(self, mine: Tenant, other: Tenant, *arguments: str) -> subprocess.Popen[str]:
        """Begin to fuzz with one tenant's key, with what there is of both."""
        known = {"own": mine.known, "other": other.known, "mark": f"{MARK}{other.name}"}
        environment = os.environ | {
            "LEARND_FUZZ": json.dumps(known),
            "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{self.address}/openapi.json"]
        command += ["-H", f"Authorization: Bearer {mine.secret}", "--checks", "all", "--continue-on-failure"]
        command += ["--request-timeout", "60", "--suppress-health-check", "all", "--warnings", "off", "--no-color"]
        return subprocess.Popen(
            [*command, *arguments],
            env=environment,
            cwd=self.folder,  # it remembers failures there, and would try them first the next time
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def _furnished(caller: Caller, name: str, secret: str) -> Tenant:
    """Give a tenant one of everything, each text with its mark; nothing of it is trained but one run."""
    mark, headers = f"{MARK}{name}", {"Authorization": f"Bearer {secret}"}

    def post(path: str, body: Any = None, **options: Any) -> Any:
        answer = caller.client.post(path, **({"json": body} if body is not None else {}), headers=headers, **options)
        assert answer.status_code in (201, 202), answer.text
        return answer.json

    table = IRIS.read_text().replace("setosa", mark)
    dataset = post(f"/v1/datasets?name={mark}", data=table, content_type="text/csv")["id"]
    spec = {"dataset": dataset, "target": "species", "epochs": 2, "name": mark}
    runs = [post("/v1/runs", {**spec, "sweep": {"seed": [0, 1]}})["id"]]
    caller.train()
    model = f"{mark}-model"
    post("/v1/models", {"name": model, "run": runs[0], "alias": "prod"})
    batch = post("/v1/batch-predictions", {"model": model, "dataset": dataset})["id"]
    caller.predict_batches()
    runs.append(post("/v1/runs", spec)["id"])
    network = post("/v1/networks", {"name": mark, "layers": [{"units": 3}]})["id"]
    known = {"datasets": [dataset], "networks": [network], "runs": runs, "models": [model], "batches": [batch]}
    return Tenant(name, secret, known)
