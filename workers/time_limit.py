"""How long a run may train: the shorter of what the service allows and what its spec asks for.

The time of all attempts counts, as far as their checkpoints say; that of waiting and pauses does not, and a run that is
extended has all of it again.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from learning.fitting import Pulse
from workers.failures import Failure

CODE = "time_limit"


class TimeLimit:
    """The limit of one attempt; `trained` are the seconds that earlier ones took to come to where it begins."""

    def __init__(
        self, spec: Mapping[str, Any], most_seconds: float, trained: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds = min(most_seconds, spec.get("max_seconds", most_seconds))
        self._clock = clock
        self._began_at = clock() - trained
        self.is_reached = False

    @property
    def trained(self) -> float:
        return self._clock() - self._began_at

    def restart(self) -> None:
        """Count anew, for a run that goes on past where it had ended."""
        self._began_at = self._clock()

    def ends(self, pulse: Pulse) -> bool:
        """Whether the run ends here: at the end of an epoch, or before its first one has ended."""
        if not pulse.finished and (pulse.epochs or not pulse.epoch):
            self.is_reached = self.trained >= self.seconds
        return self.is_reached

    def failure(self) -> Failure:
        """Return why a run failed that has no epoch to keep."""
        return Failure(
            CODE, f"no epoch ended within {self.seconds:g} seconds of training, the most that the run may take"
        )

    def warnings(self, epoch: int) -> list[dict[str, Any]]:
        """Return what tells that the run was ended, if it was."""
        if not self.is_reached:
            return []
        message = f"Training ended after epoch {epoch}: the run may take {self.seconds:g} seconds of training."
        return [{"column": None, "code": CODE, "message": message}]
