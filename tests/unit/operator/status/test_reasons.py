"""No reason is forgotten: each that the code can give is in docs/troubleshooting.md, and in a test."""

import ast
import re
from pathlib import Path

from tests.unit.test_pod_contract import documented_values

from hipbmm_operator.observe.on_demand import EVENT_REASONS

ROOT = Path(__file__).resolve().parents[4]
OPERATOR = ROOT / "operator" / "hipbmm_operator"
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()

DECIDES = [
    *sorted((OPERATOR / "status").glob("*.py")),
    *(OPERATOR / f"{name}.py" for name in ("pods/failures", "plan/write_failure", "plan/validation")),
]
"""Where reasons are made."""

WORD = re.compile(r"^[A-Z][a-z]+[A-Za-z]*$")
READ = frozenset(
    {
        # Types of Events.
        "Normal", "Warning",
        # What Kubernetes or a container says: read, and told in another word.
        "CrashLoopBackOff", "Error", "ErrImageNeverPull", "ErrImagePull", "ExternalProvisioning", "FailedBinding",
        "ImageInspectError", "ImagePullBackOff", "Lost", "OutOf", "RegistryUnavailable", "ReplicaFailure",
        # Values of the spec, and other columns of the status: types of conditions and their states, phases.
        "InPlace", "ReadWriteMany", "Surge", "Recreate", "Probing", "Verifying",
        "Available", "ConfigValid", "HardwareCompatible", "Progressing", "Ready", "StorageReady", "Warm",
        "False", "True", "Unknown", "Degraded", "Failed", "Running", "Starting", "Updating", "Succeeded",
    }
)  # fmt: skip


def made() -> set[str]:
    """Every word in the deciding modules that could be a reason."""
    found = set()
    for path in DECIDES:
        tree = ast.parse(path.read_text())
        words = {
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        found |= {word for word in words if WORD.match(word)}
    return found


def of_nodes() -> set[str]:
    """Reasons of HardwareCompatible."""
    tree = ast.parse((OPERATOR / "detect" / "node_fit.py").read_text())
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {word for word in words if WORD.match(word)} | {"NoMatchingNodes", "NodesMatched"}


REASONS = sorted((made() | of_nodes() | set(EVENT_REASONS) | documented_values("reason")) - READ)
TESTED = "".join(
    path.read_text() for path in sorted((ROOT / "tests").rglob("test_*.py")) if path.name != Path(__file__).name
)


def test_the_reasons_are_found() -> None:
    known = {"AllReplicasWarm", "ServerCrashed", "QuotaExceeded", "NoDriver", "StackMismatch", "FailedMount"}
    assert known <= set(REASONS)


def test_each_reason_is_explained() -> None:
    assert [reason for reason in REASONS if f"`{reason}`" not in PAGE] == []


def test_each_reason_is_in_a_test() -> None:
    assert [reason for reason in REASONS if f'"{reason}"' not in TESTED] == []


def test_no_reason_is_explained_that_is_never_given() -> None:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    explained = {word for row in rows for word in re.findall(r"`([A-Za-z]+)`", row) if WORD.match(word)}
    assert sorted(explained - set(REASONS)) == []
