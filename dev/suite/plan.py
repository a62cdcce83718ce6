"""Which stages there are, in what order: cheap ones that find much first, so that a mistake shows early."""

import os
import sys
from pathlib import Path

from suite.stage import Stage

_TEST = sys.executable


def _torch_python() -> str:
    """The interpreter of the torch environment; the Makefile names it."""
    return os.environ.get("HIPBMM_TORCH_PYTHON", _TEST)


def _pytest(python: str, *paths: str) -> tuple[str, ...]:
    return (python, "-m", "pytest", "-q", "--durations=5", *paths)


BUILDS: dict[str, tuple[str, ...]] = {
    "torch": ("make", "--no-print-directory", "torch-env"),
    "cluster": (_TEST, "-m", "localkube", "build"),
    "node": (_TEST, "-m", "localkube", "prepare"),
    "tools": (_TEST, "-m", "localkube", "build", "kubeconform", "kube-score"),
}
"""Long builds that run beside the first stages. Each shows its progress in out/build-<name>.log."""

_TYPED = ("operator/hipbmm_operator", "kernel/hipbmm_kernel", "dev", "tests", "bench")
_SIMULATED = "dev/simulator/python"  # its packages aiter and vllm are on the path of simulated pods only

LINT = (
    Stage("ruff", (_TEST, "-m", "ruff", "check", ".")),
    Stage("format", (_TEST, "-m", "ruff", "format", "--check", ".")),
    Stage("types", (_TEST, "-m", "mypy", "--exclude", _SIMULATED, *_TYPED)),
    Stage("types-simulator", (_TEST, "-m", "mypy", _SIMULATED), env=(("MYPYPATH", _SIMULATED),)),
    Stage("layers", (_TEST, "-c", "from importlinter.cli import lint_imports_command as c; c()")),
)

_COVERED = ("coverage", "run", "-m", "pytest", "-q", "tests/unit/operator")
COVERAGE = (
    Stage("measure", (_TEST, "-m", *_COVERED)),
    Stage("rooms", (_TEST, "-m", "suite.room_coverage")),
)

_WAIT = "wait"
"""The lane of stages that mostly wait: for an API server, for a cluster."""
_PODS = "pods"
"""A second one of these, on instances of its own; the tests with pods are its last."""

QUICK = (
    *LINT,
    Stage("unit", _pytest(_TEST, "tests/unit", "--ignore=tests/unit/operator")),
    Stage("unit-operator", _pytest(_TEST, "tests/unit/operator", "tests/golden"), lane=_WAIT),
)

_CHART_COPIES = ("test_crds.py", "test_injection.py", "test_rbac.py", "test_readme.py", "test_golden.py")
GENERATE = (
    Stage("crds", (_TEST, "-m", "hipbmm_operator.api.crd", "--write")),
    Stage(
        "chart",
        _pytest(_TEST, *(f"tests/chart/{name}" for name in _CHART_COPIES)),
        ("tools",),
        (("HIPBMM_UPDATE_GOLDEN", "1"),),
    ),
)


_PATH = ("tests/e2e/test_path.py", "tests/e2e/test_mirror.py")
"""Of the tests with pods those that CI runs: the bad days there take as long again, and have `make e2e`."""

_CLUSTER = "tests/cluster"
BAD_DAYS = "test_bad_days_*.py"
"""Half of the time of tests/cluster, which mostly waits: beside the other half, on an API server of its own."""


def _cluster() -> tuple[Stage, ...]:
    """The two halves, one after the other on a cluster of the user's, which they would share."""
    instance = os.environ.get("HIPBMM_TEST_INSTANCE", "test")
    own = (("HIPBMM_TEST_INSTANCE", f"{instance}-bad-days"),)
    files = sorted(str(path) for path in Path(_CLUSTER).glob(BAD_DAYS))
    lane = _WAIT if "KUBECONFIG" in os.environ else _PODS
    return (
        Stage(
            "cluster",
            _pytest(_TEST, _CLUSTER, "-m", "not long", f"--ignore-glob=*/{BAD_DAYS}"),
            ("cluster",),
            lane=_WAIT,
        ),
        Stage("bad-days", _pytest(_TEST, *files, "-m", "not long"), ("cluster",), own, lane),
    )


def full() -> tuple[Stage, ...]:
    """All that CI runs."""
    return (
        *QUICK,
        Stage("kernel", _pytest(_torch_python(), "tests/kernel"), ("torch",)),
        Stage("chart", _pytest(_TEST, "tests/chart", "-m", "not long"), ("cluster", "tools"), lane=_PODS),
        *_cluster(),
        Stage("node", _pytest(_TEST, "tests/e2e/test_localkube_node.py"), ("node",), lane=_WAIT),
        Stage("path", _pytest(_TEST, *_PATH), ("node",), lane=_PODS),
    )


def e2e() -> tuple[Stage, ...]:
    """The demo's claims and the bad days, on a real node."""
    return (Stage("e2e", _pytest(_TEST, "tests/e2e"), ("node",)),)


def bench() -> tuple[Stage, ...]:
    """Figures with a range file."""
    return (Stage("bench", (_TEST, "-m", "bench"), ("torch", "cluster")),)


def soak() -> tuple[Stage, ...]:
    """Long fault runs."""
    operator = "tests/soak/operator_faults"
    properties = ("-m", "hypothesis", "tests/unit", "tests/kernel/contract")
    return (
        Stage("soak-properties", _pytest(_TEST, "-p", "tests.soak.other_examples", "--timeout=7200", *properties)),
        Stage("soak", _pytest(_torch_python(), "tests/soak", f"--ignore={operator}"), ("torch",)),
        Stage("soak-operator", _pytest(_TEST, operator), ("cluster",)),
        Stage("soak-cluster", _pytest(_TEST, "tests/cluster", "tests/chart", "-m", "long"), ("cluster",)),
    )


def compat() -> tuple[Stage, ...]:
    """What the product says against what real vLLM does; its environment is the Makefile's."""
    python = os.environ.get("HIPBMM_COMPAT_PYTHON", _TEST)
    return (Stage("compat", _pytest(python, "tests/compat")),)
