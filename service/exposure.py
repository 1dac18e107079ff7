"""Closed by default: another address than loopback is listened on only where callers need a key.

Checked before any process is started, so that whoever typed the command reads the reason and not a trace.
"""

from contextlib import closing

from service.loopback import is_loopback
from store import keys
from store.database import Database
from store.settings import Settings


class Exposed(Exception):
    """Others than intended could call; why, in words for whoever typed the command."""


def check(settings: Settings) -> None:
    """Raises Exposed for a first key that could be guessed, and beyond loopback without any."""
    if settings.bootstrap_key:
        if weakness := keys.weakness(settings.bootstrap_key):
            raise Exposed(f"LEARND_BOOTSTRAP_KEY {weakness}")
        return
    if is_loopback(settings.host):
        return
    with closing(Database(settings.database)) as database, database.read() as tx:
        if not keys.any_exist(tx):
            raise Exposed(
                f"refusing to listen on {settings.host} while no API key exists: "
                "set LEARND_BOOTSTRAP_KEY, or listen on 127.0.0.1"
            )
