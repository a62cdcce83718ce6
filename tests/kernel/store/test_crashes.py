"""A sample of the crashes that tests/soak runs in full."""

from pathlib import Path

import pytest
from tests.kernel.store import crashes

SAMPLES = 18


@pytest.mark.timeout(600)
def test_a_sample_of_crashes_loses_nothing(tmp_path: Path) -> None:
    count = crashes.calls(tmp_path / "undisturbed")
    step = max(1, count // SAMPLES)
    killed = 0
    for number, at in enumerate(range(1, count + 1, step)):
        killed += crashes.check(tmp_path / str(at), at, ("before", "after", "lost")[number % 3])
    # The sidecar's thread makes the last few calls vary in number.
    assert killed >= SAMPLES - 4
