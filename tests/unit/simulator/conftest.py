"""The stand-ins live outside of Python's path on purpose; these tests borrow their torch-free modules one by one."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PYTHON = Path(__file__).resolve().parents[3] / "dev/simulator/python"


@pytest.fixture(scope="session")
def stand_in() -> Callable[[str], ModuleType]:
    """A module of dev/simulator/python by name; afterwards `import aiter` and `import vllm` fail again."""

    def load(name: str) -> ModuleType:
        sys.path.insert(0, str(PYTHON))
        try:
            return importlib.import_module(name)
        finally:
            sys.path.remove(str(PYTHON))
            for loaded in [module for module in sys.modules if module.split(".")[0] in {"aiter", "vllm"}]:
                del sys.modules[loaded]

    return load
