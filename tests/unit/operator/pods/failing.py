"""What is found wrong with one pod, whose server has 1,800 s to start."""

from tests.unit.operator.make import NOW, Json

from hipbmm_operator.observe import parse
from hipbmm_operator.pods.failures import Failure, of_pods


def only(body: Json) -> Failure:
    """The one failure of a pod."""
    (found,) = of_pods([parse.pod(body)], 1800, NOW)
    return found


def none(body: Json) -> bool:
    """Whether it has none."""
    return of_pods([parse.pod(body)], 1800, NOW) == []
