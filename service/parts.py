"""What a request works with, made once by `create_app` and handed to the views."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask, current_app, g

from service.bell import Bell
from service.readiness import Readiness
from service.resolution.targets import TargetColumns
from service.serving.versions import Versions
from service.streaming import Streams
from store.blobs import Blobs
from store.database import Database
from store.settings import Settings
from store.tabular.import_processes import ImportProcesses

if TYPE_CHECKING:  # torch comes with it, and whoever forks servers must not have loaded that
    from service.serving.served import ServedModels

_NAME = "learnd"


@dataclass(frozen=True)
class Parts:
    settings: Settings
    database: Database
    blobs: Blobs
    bell: Bell
    models: "ServedModels"
    versions: Versions
    targets: TargetColumns
    streams: Streams
    readiness: Readiness
    imports: ImportProcesses


def install(app: Flask, made: Parts) -> None:
    app.extensions[_NAME] = made


def parts() -> Parts:
    found: Parts = current_app.extensions[_NAME]
    return found


def tenant() -> str:
    """Whose rows this request may see; `access.py` has set it."""
    found: str = g.tenant
    return found
