"""What is asked of a file to take away."""

from service.schemas.fields import WholeParameter
from service.schemas.metrics import MOST_MEMBER
from service.schemas.shapes import StrictSchema


class ModelQuery(StrictSchema):
    member = WholeParameter(
        at_least=0,
        at_most=MOST_MEMBER,
        metadata={"description": "Default: what it predicts as, which may be several members' mean"},
    )


class WeightsQuery(StrictSchema):
    member = WholeParameter(
        at_least=0,
        at_most=MOST_MEMBER,
        metadata={"description": "Default: the one that it predicts as; required where those are several"},
    )
