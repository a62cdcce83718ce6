"""What pods say is checked field by field: nothing that a pod writes can break the operator or its status."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.make import report

from hipbmm_operator.api.status import StackStatus, TuningStatus
from hipbmm_operator.pods.report import Start, parse_progress, parse_report, parse_start

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_a_full_report() -> None:
    found = parse_report(json.dumps(report(stack={"arch": "gfx942", "computeUnits": 304, "simulated": True})))
    assert found is not None
    assert found.complete
    assert (found.problems, found.tuned, found.seconds, found.geomean) == (204, 204, 48, "1.11")
    assert found.stack == {"arch": "gfx942", "computeUnits": 304, "simulated": True}


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", "Traceback: boom", '{"v": 2, "state": "Complete"}', '{"v": 1, "state": "X"}', "[" * 9999],
)
def test_anything_else_is_no_report(text: str) -> None:
    assert parse_report(text) is None


@given(st.sampled_from(sorted(report())), JSON)
def test_a_hostile_field_never_breaks_the_status(field: str, value: object) -> None:
    found = parse_report(json.dumps(report() | {field: value, "v": 1, "state": "Partial"}))
    assert found is not None
    StackStatus.model_validate(found.stack)
    TuningStatus.model_validate(
        {
            "key": found.key,
            "state": found.state,
            "problems": found.problems,
            "tuned": found.tuned,
            "failed": found.failed,
            "source": found.source,
            "seconds": found.seconds,
            "geomeanSpeedup": found.geomean,
            "planSource": found.plan_source,
        }
    )


def test_the_last_progress_line_counts() -> None:
    log = (
        "hipbmm progress phase=Tuning tuned=37 problems=204 failed=0 elapsed_s=10 eta_s=42\n"
        "INFO hipbmm progress phase=Tuning tuned=38 problems=204 failed=1 elapsed_s=12 eta_s=40\n"
        "anything\n"
    )
    found = parse_progress(log)
    assert found is not None
    assert (found.phase, found.tuned, found.problems, found.failed) == ("Tuning", 38, 204, 1)
    later = parse_progress(
        log + "hipbmm progress phase=Tuning tuned=204 problems=204 failed=0 verified=38 elapsed_s=12 eta_s=4"
    )
    assert later is not None
    assert (later.phase, later.tuned, later.verified) == ("Tuning", 204, 38)
    assert later.verifying
    unverified = parse_progress(
        f"{log}hipbmm progress phase=Tuning tuned=204 problems=204 failed=0 elapsed_s=12 eta_s=4"
    )
    assert unverified is not None
    assert unverified.all_done
    assert not unverified.verifying


@given(st.text())
def test_no_log_breaks_the_reader(log: str) -> None:
    parse_progress(log)
    parse_progress("hipbmm progress phase=" + log)


def test_numbers_of_progress_are_bounded() -> None:
    found = parse_progress("hipbmm progress phase=Tuning tuned=99999999999999 problems=-3 failed=x")
    assert found is not None
    assert (found.tuned, found.problems, found.failed) == (0, 0, 0)


@pytest.mark.parametrize(
    ("log", "start"),
    [
        ("hipbmm exec: start 1 of the server, mode Tuned\nINFO vLLM\n", Start("Tuned")),
        (
            "hipbmm exec: served file kept, 8 rows\nhipbmm exec: start 3 of the server, mode NoTable: it crashed\n",
            Start("NoTable", "it crashed"),
        ),
        (
            "hipbmm exec: start of the server, mode NoAiter: this start cannot be counted\n",
            Start("NoAiter", "this start cannot be counted"),
        ),
        ("hipbmm exec: start 3 of the server, mode Other\n", None),
        ("INFO hipbmm exec: start 3 of the server, mode NoTable\n", None),
        ("", None),
    ],
)
def test_how_exec_started_the_server(log: str, start: Start | None) -> None:
    assert parse_start(log) == start


@given(st.text(max_size=200))
def test_no_log_breaks_the_start(log: str) -> None:
    parse_start("hipbmm exec: start 3 of the server, mode NoTable: " + log)
    parse_start(log)


@pytest.mark.parametrize("field", ["state", "reason", "key", "geomean", "digest", "source", "dispatch"])
@pytest.mark.parametrize("end", ["\n", "\r", "\u2028", " ", "\0"])
def test_a_word_with_anything_behind_it_is_another_word(field: str, end: str) -> None:
    """A reason with a line feed at its end would be refused by the API server, and the whole status with it."""
    good = report(digest=f"sha256:{'a' * 64}", dispatch="Memory")
    found = parse_report(json.dumps(good | {field: f"{good[field]}{end}"}))
    read = None if found is None else found.served.mode if field == "dispatch" else getattr(found, field)
    assert not read or str(read).isalnum()


def test_a_name_of_a_shard_with_a_line_feed_is_none() -> None:
    found = parse_report(json.dumps(report(mirror={"shards": ["mirror.table.0.0123456789ab.csv\n"], "lines": 1})))
    assert found is not None
    assert found.mirror_shards == ()
