"""Which examples the properties try: the same in each run, so that a change is judged by what it does, not by a die.

The dice are in `make soak` (tests/soak/other_examples.py).
"""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

_SLOW = (HealthCheck.too_slow,)  # as a deadline would be: a shared machine may stop a process for seconds


def fix_examples() -> None:
    """Call this in a conftest.py: `settings` of a test module begin with the profile that is loaded before."""
    settings.register_profile("fixed", deadline=None, derandomize=True, suppress_health_check=_SLOW)
    settings.load_profile("fixed")
    # Literals of the modules that are loaded would be examples, too: others after each change, and in each order.
    pytest.MonkeyPatch().setattr(providers, "is_local_module_file", lambda _: False)
