"""What went wrong with an attempt, as the code and message that its caller may read."""

import re
import secrets
from dataclasses import dataclass

import structlog
import torch

from learning.errors import LearningError
from store import out_of_memory
from store.errors import BlobMissing
from store.memory import Memory

log = structlog.get_logger(__name__)

_TORCH_ON_A_CPU = ("not enough memory", "can't allocate memory", "bad_alloc")
_ASKED = re.compile(r"tried to allocate (\d+) bytes")


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
            return _out_of_memory(error)
        case RuntimeError() if any(words in str(error) for words in _TORCH_ON_A_CPU):
            return _out_of_memory(error)
    id = f"err_{secrets.token_hex(8)}"
    log.error("an attempt failed", run=run, error_id=id, exc_info=error)
    return Failure("internal", f"an internal error; the log has its trace under {id}")


def _out_of_memory(error: Exception) -> Failure:
    """While the error is at hand, so are the tensors of the frames that it came through: what is held now was held."""
    asked = _ASKED.search(str(error))
    return Failure(out_of_memory.CODE, out_of_memory.reason(Memory.here(), int(asked[1]) if asked else 0))
