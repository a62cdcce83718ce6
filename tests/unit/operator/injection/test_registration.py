"""Objects of admission belong to who asked for them: whoever adds to one changes no other."""

from collections.abc import Callable
from typing import Any

import pytest

from hipbmm_operator.injection import registration

Json = dict[str, Any]


def _selectors(body: Json) -> list[Json]:
    constraints = body["spec"].get("matchConstraints") if "spec" in body else None
    return [constraints] if constraints else body.get("webhooks", [])


@pytest.mark.parametrize(
    "make",
    [lambda: registration.policies("one"), lambda: [registration.webhook("one", {"name": "one"})]],
    ids=["policies", "webhook"],
)
def test_who_adds_to_a_selector_changes_no_other(make: Callable[[], list[Json]]) -> None:
    before = repr((registration.policies("two"), registration.webhook("two", {"name": "two"})))
    for selector in (each for body in make() for each in _selectors(body)):
        selector.setdefault("namespaceSelector", {}).setdefault("matchLabels", {})["of"] = "somebody"
        selector["objectSelector"]["matchExpressions"].append({"key": "of-somebody", "operator": "Exists"})
    assert repr((registration.policies("two"), registration.webhook("two", {"name": "two"}))) == before
