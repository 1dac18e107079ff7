"""Claims until there is nothing and prints what it got: a process for the race in test_claims.py."""

import json
import os
import sys

from store.claims import claim
from store.database import Database
from store.processes import ProcessIdentity

url, worker = sys.argv[1:]
database = Database(url, deadline=60.0)
claimed = []
while True:
    with database.write() as tx:
        got = claim(tx, worker=worker, slot_pid=os.getpid(), owner=ProcessIdentity.current())
    if got is None:
        break
    claimed.append(got.run_id)
database.close()
json.dump(claimed, sys.stdout)
