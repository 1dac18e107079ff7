"""Closed by default: another address than loopback is listened on only where callers need a key.

Checked before any process is started, so that whoever typed the command reads the reason and not a trace.
"""

from contextlib import closing

from service.loopback import is_loopback
from store import keys
from store.database import Database
from store.settings import Settings


class Exposed(Exception):
    """Anyone on the network could call."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"refusing to listen on {host} while no API key exists: set LEARND_BOOTSTRAP_KEY, or listen on 127.0.0.1"
        )


def check(settings: Settings) -> None:
    """Raises Exposed beyond loopback, while no key exists and none is about to be made."""
    if is_loopback(settings.host) or settings.bootstrap_key:
        return
    with closing(Database(settings.database)) as database, database.read() as tx:
        if not keys.any_exist(tx):
            raise Exposed(settings.host)
