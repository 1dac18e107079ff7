"""The servers that `serving` measures ours beside: each on this machine, frozen while another has its turn."""

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.load import Load, Taken

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".bench-env"
STARTING = 120  # seconds
INSTALLING = 1_200  # seconds


class Absent(Exception):
    """It cannot be had here; the message says why."""


@dataclass(frozen=True)
class Rival:
    process: subprocess.Popen[bytes]
    port: int
    path: str
    field: str  # of the body, where the rows stand
    acknowledged_at_once: bool = False

    def put(self, body: str, seconds: float) -> Taken:
        sent = Load(self.port, self.path, body, seconds, acknowledge_at_once=self.acknowledged_at_once)
        with self.awake():
            return load.put(sent)

    @contextmanager
    def awake(self) -> Iterator[None]:
        self.signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.signal(signal.SIGSTOP)

    def signal(self, number: signal.Signals) -> None:
        """To all of its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


@contextmanager
def bare(processes: int, kind: str) -> Iterator[Rival]:
    """`kind` is flask or wsgi: a route, or the server alone."""
    command = [sys.executable, "-m", "benchmarks.bare", "{port}", str(processes), kind]
    with _started(command, "/", "instances") as rival:
        yield rival


@contextmanager
def litserve(network: Path, processes: int) -> Iterator[Rival]:
    """Raises Absent."""
    python = _environment("litserve")
    command = [str(python), str(HERE / "litserve_server.py"), str(network), "{port}", str(processes)]
    with _started(command, "/predict", "instances") as rival:
        yield rival


@contextmanager
def mlflow(network: Path, processes: int) -> Iterator[Rival]:
    """Raises Absent."""
    python = _environment("mlflow")
    with tempfile.TemporaryDirectory(prefix="mlflow-") as folder:
        model = Path(folder) / "model"
        _run([str(python), str(HERE / "mlflow_model.py"), str(network), str(model)], STARTING)
        command = [str(python), "-m", "mlflow", "models", "serve", "--model-uri", str(model), "--env-manager", "local"]
        command += ["--host", "127.0.0.1", "--port", "{port}", "--workers", str(processes)]
        with _started(command, "/invocations", "inputs") as rival:
            yield rival


@contextmanager
def _started(command: Sequence[str], path: str, field: str) -> Iterator[Rival]:
    """Raises Absent where it does not answer."""
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEARND_")}
    environment["PATH"] = f"{Path(command[0]).parent}{os.pathsep}{environment['PATH']}"
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [word.format(port=port) for word in command],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=HERE.parent,
            start_new_session=True,
        )
        rival = Rival(process, port, path, field)
        try:
            _until_open(rival, log)
            yield rival
        finally:
            rival.signal(signal.SIGCONT)
            rival.signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            rival.signal(signal.SIGKILL)
            process.wait()


def _until_open(rival: Rival, log) -> None:
    deadline = time.monotonic() + STARTING
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", rival.port), timeout=1):
            return
        if rival.process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            raise Absent(f"its server does not start: {log.read()[-300:]}")
        time.sleep(0.1)


def _environment(name: str) -> Path:
    """The Python of a rival's own environment, which is made when it is first wanted, and finds our torch."""
    folder = ENVIRONMENTS / name
    python, done = folder / "bin" / "python", folder / ".installed"
    if done.exists():
        return python
    print(f"putting {name} in .bench-env …", file=sys.stderr)
    _run([sys.executable, "-m", "venv", str(folder)], INSTALLING)
    own = _run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], STARTING).strip()
    (Path(own) / "learnd.pth").write_text(sysconfig.get_path("purelib"))
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]
    _run([*pip, str(HERE / f"{name}.txt")], INSTALLING)
    done.touch()
    return python


def _run(command: Sequence[str], seconds: float) -> str:
    """What it prints. Raises Absent where it fails."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds).stdout
    except subprocess.SubprocessError as error:
        told = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise Absent(f"its package cannot be used: {told[-1]}") from error


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
