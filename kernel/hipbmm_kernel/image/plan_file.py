"""The image's answer as a file of a store (`store/plans.py`), with a digest."""

import json

from hipbmm_kernel.planner import answer
from hipbmm_kernel.planner.answer import Answer, AnswerInvalid
from hipbmm_kernel.store import plans
from hipbmm_kernel.system.digest import canonical, sha256

_MARK = "hipbmm-plan"
_VERSION = 1


def encode(key: str, found: Answer) -> bytes:
    """A plan file: one JSON object in canonical form, so that the same plan gives the same bytes in every pod."""
    plan = json.loads(answer.encode(found))
    return canonical({_MARK: _VERSION, "key": key, "plan": plan, "sha256": sha256(canonical(plan))}) + b"\n"


def decode(key: str, data: bytes) -> Answer:
    """The answer in a plan file of this key. ValueError when it is cut, damaged, or another key's."""
    document = plans.document(key, data)
    if document.get(_MARK) != _VERSION:
        raise AnswerInvalid("not a plan file")
    plan = canonical(document.get("plan"))
    if document.get("sha256") != sha256(plan):
        raise AnswerInvalid("its digest does not fit its content")
    return answer.decode(plan)
