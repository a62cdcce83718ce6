"""A pod whose server has started."""

import json

import pytest
from tests.kernel.harvest.learning import SERVED
from tests.kernel.pods import Pod

from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.rows import aiter_csv


@pytest.fixture
def served(pod: Pod, a_stack: Stack) -> Pod:
    """A pod whose server has started with ten rows."""
    pod.served_file.parent.mkdir(parents=True)
    pod.served_file.write_bytes(aiter_csv.format_rows(SERVED))
    report = {"v": 1, "state": "Complete", "rows": 10, "geomean": "1.11", "stackDocument": a_stack.document()}
    (pod.home / "report.json").write_text(json.dumps({**report, "key": a_stack.key, "reason": "Restored"}))
    return pod
