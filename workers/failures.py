"""What went wrong with an attempt, as the code and message that its caller may read."""

import secrets
from dataclasses import dataclass

import structlog
import torch

from learning.errors import LearningError
from store.errors import BlobMissing

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Failure:
    code: str
    message: str


NON_FINITE = Failure(
    "non_finite_loss", "the loss of every member became infinite or not a number; a lower learning rate may help"
)


def failure_of(error: Exception, run: str) -> Failure:
    """An error nobody foresaw is told by an opaque id alone; the log has the rest under the same id."""
    match error:
        case LearningError():
            return Failure("invalid_data", str(error))
        case BlobMissing():
            return Failure("dataset_deleted", "the dataset's table is no longer there")
        case MemoryError() | torch.OutOfMemoryError():
            return Failure("out_of_memory", "training needs more memory than this machine has")
        case RuntimeError() if "not enough memory" in str(error) or "can't allocate memory" in str(error):
            return Failure("out_of_memory", "training needs more memory than this machine has")  # torch's own, on a CPU
    id = f"err_{secrets.token_hex(8)}"
    log.error("an attempt failed", run=run, error_id=id, exc_info=error)
    return Failure("internal", f"an internal error; the log has its trace under {id}")
