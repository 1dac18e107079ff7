"""One attempt at an analysis: make it while nothing else is asked, write it through the fence.

Nothing is kept of an attempt that ends early, and nothing waits for a store that is away: it is soon made again.
"""

from collections.abc import Callable

import structlog
from sqlalchemy import Connection

from store import analysing
from store.analysing import Claim
from store.errors import Fenced, Unavailable
from workers.driving import Place
from workers.failures import Failure, failure_of
from workers.findings import Findings, Gone
from workers.heartbeat import Heartbeat

log = structlog.get_logger(__name__)

Ending = Callable[[Connection], None]


class _Drained(Exception):
    """No error: the worker was asked to end."""


def analyse(claim: Claim, place: Place) -> None:
    """Make the attempt. However it ends, the row says so; only an attempt that no longer holds it says nothing."""
    with Heartbeat(place.database, claim, place.settings) as heart:
        try:
            ending = _ending(claim, place, heart)
            with place.database.write() as tx:
                ending(tx)
        except Fenced:
            log.warning("another attempt makes the analysis, or its run is gone", of=claim.place, attempt=claim.attempt)
        except Unavailable as reason:
            log.warning("the store is away; the analysis is given up", of=claim.place, reason=str(reason))


def _ending(claim: Claim, place: Place, heart: Heartbeat) -> Ending:
    def moved() -> None:
        heart.advance()
        heart.check()
        if place.drain.is_asked:
            raise _Drained

    try:
        result = Findings(claim, place, moved).make()
    except (Fenced, Unavailable):
        raise
    except _Drained:
        return lambda tx: analysing.release(tx, claim)
    except Gone as gone:
        failure = Failure(gone.code, str(gone))
    except Exception as error:  # noqa: BLE001 - whatever it was, the row must not stay running
        failure = failure_of(error, claim.run_id)
    else:
        return lambda tx: analysing.finish(tx, claim, result)
    return lambda tx: analysing.fail(tx, claim, failure.code, failure.message)
