"""`learnd demo`: two real tables through the whole real service, over HTTP like any other caller."""

import csv
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import httpx2
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from store.processes import die_with_parent

_FINAL = ("succeeded", "failed", "cancelled")
_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 60
_STOP_SECONDS = 60


class Failed(Exception):
    """Why the demonstration ended early, in words for whoever typed the command."""


@dataclass(frozen=True)
class Example:
    table: str
    target: str
    metric: str
    shown: tuple[int, ...]  # rows of the file that are predicted

    @property
    def title(self) -> str:
        return self.table.replace("_", " ")


EXAMPLES = (
    Example("breast_cancer", "diagnosis", "accuracy", (0, 20, 100)),
    Example("diabetes", "progression", "r2", (0, 1, 2)),
)
_NAMES = {"accuracy": "test accuracy", "r2": "test R²"}


def run() -> int:
    """The exit code. Everything it starts has ended by then, and its folder is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):  # both leave by the same way out, also where a shell ignores one
        signal.signal(number, signal.default_int_handler)
    console = Console(stderr=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="learnd-demo-") as folder,
            _service(Path(folder), console) as address,
            httpx2.Client(base_url=address, timeout=_ANSWER_SECONDS) as client,
        ):
            for example in EXAMPLES:
                _show(client, example, console)
    except Failed as reason:
        click.echo(f"Error: {reason}", err=True)
        return 1
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        return 1
    return 0


@contextmanager
def _service(folder: Path, console: Console) -> Iterator[str]:
    """A whole service of its own, on a free port and in that folder, whatever the environment says of another."""
    console.print("starting the service …")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEARND_")}
    command = [sys.executable, "-P", "-m", "service", "up", "--port", "0", "--data-dir", str(folder / "data")]
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(  # noqa: S603 - the command is our own
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # a Ctrl-C comes here, and from here the service is told once
            preexec_fn=partial(die_with_parent, parent=os.getpid()),  # noqa: PLW1509 - there is no other thread yet
        )
        try:
            address = process.stdout.readline().strip() if process.stdout else ""
            if not address:
                log.seek(0)
                raise Failed(f"the service did not start\n{log.read()}")
            yield address
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()


def _show(client: httpx2.Client, example: Example, console: Console) -> None:
    content = files("examples").joinpath(f"{example.table}.csv").read_bytes()
    dataset = _answer(
        client.post(
            "/v1/datasets", params={"name": example.title}, content=content, headers={"Content-Type": "text/csv"}
        )
    )
    started = _answer(
        client.post(
            "/v1/runs",
            json={
                "dataset": dataset["id"],
                "target": example.target,
                "test": {"fraction": 0.25},
                "sweep": {"seed": [0, 1, 2, 3, 4, 5, 6, 7]},
            },
        )
    )
    click.echo(
        f"{example.title}: {dataset['rows']} rows, {len(started['features'])} features, "
        f"to predict {example.target} ({started['task']})"
    )
    run = _trained(client, started, console)
    click.echo(
        f"  {_NAMES[example.metric]} {run['metrics']['test'][example.metric]:.3f} on {run['rows']['test']} rows never "
        f"seen in training, by the best of {len(run['members'])} networks, at epoch {run['best']['epoch']}"
    )
    _predict(client, example, run, content.decode())


def _predict(client: httpx2.Client, example: Example, run: dict[str, Any], content: str) -> None:
    rows = list(csv.DictReader(content.splitlines()))
    rows = [rows[index] for index in example.shown]
    instances = [{name: float(row[name]) for name in run["features"]} for row in rows]
    regression = run["task"] == "regression"
    body = {"instances": instances, "probabilities": not regression}
    found = _answer(client.post(f"/v1/runs/{run['id']}/predictions", json=body))
    for index, (row, prediction) in enumerate(zip(rows, found["predictions"], strict=True)):
        said = f"{prediction:.1f}" if regression else f"{prediction} ({max(found['probabilities'][index]):.1%} sure)"
        click.echo(f"  row {example.shown[index] + 1}: predicted {said}, in truth {row[example.target]}")


def _trained(client: httpx2.Client, run: dict[str, Any], console: Console) -> dict[str, Any]:
    """The run once it has succeeded, with its progress shown until then."""
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("waiting for a worker", total=1.0)
        tenths = 0
        while run["status"] not in _FINAL:
            time.sleep(_POLL_SECONDS)
            run = _answer(client.get(f"/v1/runs/{run['id']}"))
            fraction = run["progress"]["fraction"] if run["progress"] else 0.0
            progress.update(bar, completed=fraction, description=_doing(run))
            if not console.is_terminal and int(fraction * 10) > tenths:
                tenths = int(fraction * 10)
                console.print(f"  {_doing(run)}: {fraction:.0%}", highlight=False)
    if run["status"] != "succeeded":
        raise Failed(f"the run {run['status']}: {run['error']}")
    return run


def _doing(run: dict[str, Any]) -> str:
    loss = run["metrics"].get("validation", {}).get("loss")
    if loss is None:
        return "waiting for a worker" if run["status"] == "queued" else "training"
    return f"epoch {run['progress']['epoch']} of {run['progress']['epochs']}, validation loss {loss:.4f}"


def _answer(response: httpx2.Response) -> Any:
    if response.is_success:
        return response.json()
    raise Failed(f"{response.request.method} {response.request.url} answered {response.status_code}: {response.text}")
