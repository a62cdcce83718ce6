"""`pytest -p tests.soak.other_examples -m hypothesis`: 20 times the examples of each property, others in each run."""

from typing import cast

import pytest
from hypothesis import is_hypothesis_test, settings

TIMES = 20


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = {cast("pytest.Function", item).function for item in items}  # one may be several items
    for test in filter(is_hypothesis_test, tests):
        fixed: settings = test._hypothesis_internal_use_settings
        examples = fixed.max_examples * TIMES
        other = settings(fixed, max_examples=examples, derandomize=False, print_blob=True)
        test._hypothesis_internal_use_settings = other
