"""H2O-3 as a rival: its Java server on all cores, asked over REST.

Its package is put in .bench-env when it is first wanted.
"""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

RIVALS = Path(__file__).with_name("rivals.txt")
ENVIRONMENT = Path(__file__).parents[1] / ".bench-env"
JAR = ENVIRONMENT / "h2o" / "backend" / "bin" / "h2o.jar"
STARTING = 120  # seconds
WORKING = 300  # seconds for one request or job, at most
POLL_SECONDS = 0.005
# All that only scores and draws, and is no part of training.
PLAIN = {
    "train_samples_per_iteration": 0,
    "score_training_samples": 1000,
    "score_interval": 1e6,
    "score_duty_cycle": 0.0,
    "overwrite_with_best_model": False,
    "stopping_rounds": 0,
    "diagnostics": False,
}


class Absent(Exception):
    """It cannot be had here; the message says why."""


class H2O:
    def __init__(self, client: httpx2.Client) -> None:
        self.client = client

    def load(self, path: Path, name: str, target: str, *, classes: bool = True) -> None:
        """Import a CSV file as the frame `name`, with `target` as classes or as numbers."""
        files = {"source_frames": json.dumps(self._ask("GET", "/3/ImportFiles", path=str(path))["destination_frames"])}
        setup = self._ask("POST", "/3/ParseSetup", **files)
        setup["column_types"][setup["column_names"].index(target)] = "Enum" if classes else "Numeric"
        wanted = ("parse_type", "separator", "number_columns", "single_quotes", "check_header", "chunk_size")
        wanted += ("column_names", "column_types")
        options = {field: setup[field] for field in wanted}
        self._wait(self._ask("POST", "/3/Parse", destination_frame=name, delete_on_done=True, **files, **options))

    def train(self, **parameters: Any) -> str:
        """Train one network, and its id."""
        return self._wait(self._ask("POST", "/3/ModelBuilders/deeplearning", **PLAIN, **parameters))

    def train_as_it_comes(self, **parameters: Any) -> str:
        """Train one network with its own defaults, and its id."""
        return self._wait(self._ask("POST", "/3/ModelBuilders/deeplearning", **parameters))

    def predict(self, model: str, frame: str) -> list[list[str]]:
        """For each row of the frame a number, or a label and then each class's probability."""
        name = self._ask("POST", f"/3/Predictions/models/{model}/frames/{frame}")["predictions_frame"]["name"]
        found = self.client.get("/3/DownloadDataset", params={"frame_id": name}).raise_for_status()
        return list(csv.reader(found.text.splitlines()[1:]))

    def forget(self) -> None:
        """All frames and models."""
        self._ask("DELETE", "/3/DKV")

    def grid(self, hyper_parameters: Mapping[str, list[Any]], **parameters: Any) -> list[str]:
        """Train one network for each value, and their ids."""
        asked = {"hyper_parameters": dict(hyper_parameters), **PLAIN, **parameters}
        grid = self._wait(self._ask("POST", "/99/Grid/deeplearning", **asked))
        return [model["name"] for model in self._ask("GET", f"/99/Grids/{grid}")["model_ids"]]

    def loss(self, model: str) -> float:
        return self._ask("GET", f"/3/Models/{model}")["models"][0]["output"]["training_metrics"]["logloss"]

    def _wait(self, answer: Mapping[str, Any]) -> str:
        """For a job's end; the id of what it made."""
        deadline = time.monotonic() + WORKING
        while (job := self._ask("GET", f"/3/Jobs/{answer['job']['key']['name']}")["jobs"][0])["status"] != "DONE":
            if job["status"] in ("FAILED", "CANCELLED") or time.monotonic() > deadline:
                raise RuntimeError(f"H2O-3 says {job['status']}: {job['exception']}")
            time.sleep(POLL_SECONDS)
        return job["dest"]["name"]

    def _ask(self, method: str, path: str, /, **fields: Any) -> dict[str, Any]:
        """Lists and objects are written as JSON inside a form."""
        plain = {name: json.dumps(field) if isinstance(field, list | dict) else field for name, field in fields.items()}
        sent = {"params": plain} if method == "GET" else {"data": plain}
        return self.client.request(method, path, **sent).raise_for_status().json()


@contextmanager
def running() -> Iterator[H2O]:
    """A server of its own. Raises Absent."""
    if (java := shutil.which("java")) is None:
        raise Absent("there is no Java here")
    _install()
    with tempfile.TemporaryDirectory(prefix="h2o-") as folder, (Path(folder) / "log").open("w+") as log:
        port = _free_port()
        command = [java, "-Xmx4g", "-jar", JAR, "-ip", "127.0.0.1", "-web_ip", "127.0.0.1", "-port", port]
        command += ["-name", f"bench-{port}", "-nthreads", os.cpu_count(), "-ice_root", folder, "-log_level", "ERRR"]
        with subprocess.Popen([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT) as process:
            try:
                with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=WORKING) as client:
                    _until_healthy(client, process, Path(log.name))
                    yield H2O(client)
            finally:
                process.terminate()


def _install() -> None:
    if JAR.exists():
        return
    print("putting rivals in .bench-env …", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", RIVALS]
    try:
        subprocess.run([*command, "--target", ENVIRONMENT], check=True, capture_output=True, text=True, timeout=600)
    except subprocess.SubprocessError as error:
        told = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise Absent(f"its package cannot be installed: {told[-1]}") from error


def _until_healthy(client: httpx2.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTING
    while True:
        try:
            if client.get("/3/Cloud").json()["cloud_healthy"]:
                return
        except (httpx2.TransportError, ValueError):
            time.sleep(0.1)
        if process.poll() is not None or time.monotonic() > deadline:
            raise Absent(f"its server does not start: {log.read_text()[-300:]}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
