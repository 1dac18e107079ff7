"""Every setting of the service, read once from the environment into a frozen object and handed down."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from environs import Env
from sqlalchemy import URL

QUEUES = ("cpu", "gpu")  # in which runs wait, by what they ask to be trained on


@dataclass(frozen=True)
class Settings:
    """Each field has its `LEARND_…` variable; `docs/operations.md` says what each means, with its default."""

    host: str = "127.0.0.1"
    port: int = 8080
    data_dir: Path = Path("learnd-data")
    slots: int = 1
    queues: str = "cpu"
    api_processes: int = 1
    database_url: str = ""  # "": SQLite in the data folder
    redis_url: str = ""  # "": an embedded Valkey, started by `learnd up`
    blob_url: str = ""  # "": a folder in the data folder
    blob_timeout_seconds: float = 5.0
    keep_deleted_seconds: float = 60.0
    bootstrap_key: str = ""
    heartbeat_seconds: float = 10.0
    lease_seconds: float = 60.0
    reconcile_seconds: float = 10.0
    drain_seconds: float = 30.0
    checkpoint_seconds: float = 30.0
    max_upload_bytes: int = 1 << 30
    max_rows: int = 50_000_000
    max_columns: int = 10_000
    max_members: int = 4_096
    max_parameters: int = 250_000_000
    max_memory_bytes: int = 0  # 0: what the machine has
    max_run_seconds: float = 604_800.0
    max_streams: int = 32
    max_imports: int = 2
    max_served_models: int = 256
    max_served_bytes: int = 1 << 29
    log_level: str = "info"

    @property
    def database(self) -> str:
        """The database's URL; without one, SQLite in the data folder."""
        if self.database_url:
            return self.database_url
        return URL.create("sqlite", database=str(self.data_dir.resolve() / "learnd.db")).render_as_string()

    @property
    def blobs(self) -> str:
        """The blob store's URL; without one, a folder in the data folder."""
        return self.blob_url or (self.data_dir.resolve() / "blobs").as_uri()

    @property
    def queue_names(self) -> tuple[str, ...]:
        """Those that a worker serves, the preferred one first. ValueError unless they are of `QUEUES`, each once."""
        names = tuple(name.strip() for name in self.queues.split(","))
        if not set(names) <= set(QUEUES) or len(set(names)) < len(names):
            raise ValueError(
                f"queues are to be one or more of {', '.join(QUEUES)}, with commas between; not {self.queues!r}"
            )
        return names

    @classmethod
    def from_environment(cls) -> Self:
        env = Env(prefix="LEARND_")
        read: dict[Any, Callable[..., Any]] = {int: env.int, float: env.float, str: env.str, Path: env.path}
        return cls(**{each.name: read[each.type](each.name.upper(), each.default) for each in fields(cls)})
