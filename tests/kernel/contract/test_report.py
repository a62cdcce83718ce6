"""The report: one JSON object that always fits."""

import json

from hypothesis import given
from hypothesis import strategies as st
from tests.kernel.pods import row

from hipbmm_kernel.contract import report
from hipbmm_kernel.contract.report import Report
from hipbmm_kernel.identity.stack import Stack


@given(
    st.text(max_size=5000),
    st.lists(st.text(max_size=3000), max_size=50).map(tuple),
    st.text(max_size=5000),
    st.text(max_size=300),
)
def test_a_termination_message_is_json_of_at_most_4096_bytes(
    message: str, errors: tuple[str, ...], storage: str, product: str
) -> None:
    stack = Stack(arch="gfx942", product=product, databases=("ab" * 32,) * 9)
    made = Report("Partial", "ProblemsFailed", message, stack=stack, errors=errors, storage_error=storage, notes=errors)
    encoded = report.termination_message(made)
    assert len(encoded) <= 4096
    document = json.loads(encoded)
    assert (document["v"], document["state"], document["reason"]) == (1, "Partial", "ProblemsFailed")
    assert set(json.loads(report.whole(made))) > set(document)


def test_errors_and_notes_are_kept_when_there_is_room() -> None:
    made = Report("Complete", "Tuned", "fine", errors=("one", "two"), notes=("three",))
    document = json.loads(report.termination_message(made))
    assert (document["errors"], document["notes"]) == (["one", "two"], ["three"])


def test_the_geometric_mean_is_over_measured_rows() -> None:
    measured = [row(tuned_us=1.0, default_us=2.0), row(tuned_us=2.0, default_us=1.0), row(tuned_us=1.0, default_us=8.0)]
    assert report.geomean([*measured, row()]) == "2.00"
    assert report.geomean([row()]) is None
