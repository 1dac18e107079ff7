"""The `learnd` command. Data goes to standard output, progress to standard error; 0 is ok, 1 failed, 2 wrong usage."""

import os
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import click
from environs import EnvError

from service import demonstration
from service.exposure import Exposed
from service.supervision import supervisor
from service.supervision.embedded_valkey import NoValkey
from store.durable import close_to_others
from store.errors import Unavailable
from store.migrating import upgrade
from store.processes import keep_files_private
from store.schema import WrongSchema
from store.settings import Settings

_FOLDER = click.Path(file_okay=False, path_type=Path)


def _named(variable: str) -> dict[str, Any]:
    """A variable for an option; one that is not given either way leaves the default of `Settings` in force."""
    return {"envvar": f"LEARND_{variable}", "show_envvar": True}


def _checked(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    try:
        _ = Settings(queues=Settings.queues if value is None else value).queue_names
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


_SLOTS = click.option("--slots", type=click.IntRange(1), help="Runs trained at once.", **_named("SLOTS"))
_QUEUES = click.option("--queues", callback=_checked, help="Runs that are taken: cpu, gpu or both.", **_named("QUEUES"))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("learnd"), message="%(version)s")
def main() -> None:
    """The learn daemon: trains feed-forward neural networks on tables of examples and serves their predictions."""
    keep_files_private()


@main.command()
@click.option("--host", help="Address to listen on.", **_named("HOST"))
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.", **_named("PORT"))
@click.option(
    "--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Folder of all data.", **_named("DATA_DIR")
)
@_SLOTS
@_QUEUES
@click.option("--api-processes", type=click.IntRange(1), help="Processes that answer HTTP.", **_named("API_PROCESSES"))
def up(**options: Any) -> None:
    """Run the whole service on this machine until Ctrl-C. Prints its address once it answers."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        supervisor.up(replace(_settings(), **given))
    except (supervisor.CannotStart, NoValkey, Exposed, Unavailable) as reason:
        raise click.ClickException(str(reason)) from None


@main.command()
def demo() -> None:
    """Train on two real tables through the whole real service, in a temporary folder, and predict."""
    sys.exit(demonstration.run())


@main.command()
def migrate() -> None:
    """Bring the database's tables to this version."""
    settings = _settings()
    if settings.database.startswith("sqlite"):
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        close_to_others(settings.data_dir)
    try:
        upgrade(settings.database)
    except (Unavailable, WrongSchema) as reason:
        raise click.ClickException(str(reason)) from None


@main.command()
def api() -> None:
    """Answer HTTP."""
    _become("service.server")


@main.command()
@_SLOTS
@_QUEUES
def worker(**options: Any) -> None:
    """Claim runs and train them."""
    _become("workers", **options)


@main.command()
def reconciler() -> None:
    """Take runs back from workers that died, and ring for those that wait."""
    _become("workers.reconciler")


def _settings() -> Settings:
    try:
        return Settings.from_environment()
    except EnvError as error:
        raise click.UsageError(str(error)) from None


def _become(module: str, **options: Any) -> NoReturn:
    """Go on as that module, in a process that has loaded nothing else. -P: whatever folder the user stands in, the
    packages are the installed ones.
    """
    _settings()  # a wrong variable is wrong usage, said before anything starts
    os.environ.update({f"LEARND_{name.upper()}": str(value) for name, value in options.items() if value is not None})
    os.execv(sys.executable, [sys.executable, "-P", "-m", module])  # noqa: S606 (no shell is wanted)
