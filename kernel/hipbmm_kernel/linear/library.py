"""AITER as found at run time: it exists only in ROCm images, so nothing imports it when a module is loaded."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def load_aiter() -> ModuleType:
    """The `aiter` module. Raises whatever its import raises: it loads compiled code, so not only ImportError."""
    return importlib.import_module("aiter")
