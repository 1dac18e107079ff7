"""A process whose attempt beats and does not move: `python -m tests.workers.hanging DATABASE_URL`."""

import sys
import threading

from store import claims
from store.database import Database
from store.processes import ProcessIdentity
from store.settings import Settings
from workers.heartbeat import Heartbeat

database = Database(sys.argv[1])
here = ProcessIdentity.current()
with database.write() as tx:
    claim = claims.claim(tx, worker="wk_hanging", slot_pid=here.pid, owner=here)
assert claim is not None
with Heartbeat(database, claim, Settings(heartbeat_seconds=0.1, lease_seconds=0.1)):
    threading.Event().wait()
