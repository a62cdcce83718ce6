"""The entry point of vLLM's group `vllm.general_plugins`, and the first call that decides.

vLLM loads plugins before it imports AITER, in processes that must not touch a GPU yet (the API server; a parent that
forks). So nothing is imported here: a hook waits for `aiter`, and what needs the GPU waits for the first GEMM.
"""

from __future__ import annotations

import importlib.abc
import logging
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hipbmm_kernel.contract.settings import ONLINE_TUNING
from hipbmm_kernel.dispatch import PLUGIN, end_marks, process_reports
from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.dispatch.recorder import Recorder
from hipbmm_kernel.tune import attest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from hipbmm_kernel.dispatch.table import Table

NO_TUNING = "HIPBMM_NO_ONLINE_TUNING"
"""The variable that says: AITER's file would be in a directory that is not ours, so nothing may be tuned into it."""
AITER = "aiter"

recorders: list[Recorder] = []
"""Of the devices on which this process serves from memory; for who asks whether it does."""

logger = logging.getLogger(PLUGIN)


def register() -> None:
    """Mark this process, and serve the table that HIPBMM_DISPATCH_TABLE names from memory, once AITER is there.

    Never raises.
    """
    path = os.environ.get(tables.VARIABLE, "")
    directory = os.path.dirname(path)
    marks = os.environ.get(end_marks.VARIABLE) or (path and f"{directory}/{end_marks.DIRECTORY}")
    if marks:
        with suppress(OSError):  # an end without marks counts
            end_marks.watch(marks)
    if not path:
        return
    try:
        with open(path, "rb") as file:
            table = tables.decode(file.read(tables.MAX_BYTES + 1))
        when_imported(AITER, lambda module: _installed(module, table, directory))
    except Exception as error:  # noqa: BLE001 - a plugin of ours must not keep a server from starting
        _as_it_was(str(error), directory)


def _installed(module: ModuleType, table: Table, directory: str) -> None:
    try:
        _install(module, table, directory)
    except Exception as error:  # noqa: BLE001 - see `register`
        _as_it_was(f"{type(error).__name__}: {error}", directory)


def _install(module: ModuleType, table: Table, directory: str) -> None:
    """Put the first call around `aiter.hipb_mm`; it replaces itself by what it decides."""
    from hipbmm_kernel.dispatch import wrapper  # noqa: PLC0415 - AITER has imported torch by now

    inner = getattr(module, "hipb_mm", None)
    if inner is None or not wrapper.fits(inner):
        _as_it_was("aiter.hipb_mm is not there, or has other parameters", directory)
        return

    decided: list[Callable[..., Any]] = []
    deciding = threading.Lock()

    def first_call(mat1: Any, *arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401 - AITER's own parameters
        """Decide once, by the device of the first operand. Who has bound this function goes on through it."""
        if not decided:
            with deciding:
                if not decided:
                    decided.append(_decide(inner, table, mat1, directory))
            if module.hipb_mm is first_call:  # else somebody has put a function around it
                module.hipb_mm = decided[0]  # type: ignore[attr-defined]
        return decided[0](mat1, *arguments, **keywords)

    module.hipb_mm = first_call  # type: ignore[attr-defined]


def _decide(inner: Callable[..., Any], table: Table, operand: Any, directory: str) -> Callable[..., Any]:  # noqa: ANN401
    """The function that serves from now on: with the table, or AITER's own and the reason in the log."""
    try:
        import torch  # noqa: PLC0415 - it has long been imported

        from hipbmm_kernel.dispatch import wrapper  # noqa: PLC0415 - same
        from hipbmm_kernel.linear.libraries import loaded_libraries  # noqa: PLC0415 - same
        from hipbmm_kernel.linear.quantise import fp8_dtype  # noqa: PLC0415 - same

        properties = torch.cuda.get_device_properties(operand.device)
        arch = str(getattr(properties, "gcnArchName", ""))
        hello = {"arch": arch, "computeUnits": int(properties.multi_processor_count), "name": str(properties.name)}
        difference = attest.hardware_difference(table.stack, hello) or attest.library_difference(
            table.stack, loaded_libraries(), os.environ
        )
        if difference is not None:
            _as_it_was(f"another stack: {difference}", directory)
            return inner
        rank = operand.get_device()
        recorder = Recorder(directory, max(rank, 0))
        dtypes = (fp8_dtype(arch), torch.bfloat16)
        function = wrapper.make(inner, table.entries, rank, dtypes, recorder)
        with suppress(OSError):  # a directory that cannot be written costs the numbers alone
            recorder.start()
        with suppress(OSError):
            process_reports.write(directory)
        recorders.append(recorder)
        # AITER asks getenv on each call. From here on it neither reads the file nor tunes.
        os.environ.pop(ONLINE_TUNING, None)
    except Exception as error:  # noqa: BLE001 - the server goes on as if we were not there
        _as_it_was(f"{type(error).__name__}: {error}", directory)
        return inner
    logger.info("hipbmm dispatch: %d problems from memory on device %d", len(table.entries), rank)
    return function


def _as_it_was(reason: str, directory: str) -> None:
    if os.environ.get(NO_TUNING):
        os.environ.pop(ONLINE_TUNING, None)
    logger.warning("hipbmm dispatch: AITER stays as it is: %s", reason)
    with suppress(OSError):
        process_reports.write(directory, reason or "unknown")


def when_imported(name: str, act: Callable[[ModuleType], None]) -> None:
    """Call `act` with the module `name`: now when it is imported already, else right after its import."""
    if name in sys.modules:
        act(sys.modules[name])
    else:
        sys.meta_path.insert(0, _Hook(name, act))


class _Hook(importlib.abc.MetaPathFinder):
    """Finds one module as all other finders do, and has `act` called when it has been executed."""

    def __init__(self, name: str, act: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._act = act

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own spec with our loader around its loader; None for all other modules.

        vLLM asks with find_spec whether there is AITER (`_aiter_ops.py`, 0.23.0 to 0.33.0) long before it imports it,
        so this finder stays until the module has been executed.
        """
        if fullname != self._name or self not in sys.meta_path:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            find = getattr(finder, "find_spec", None)  # finders of old may lack it, as importlib knows
            spec: ModuleSpec | None = find(fullname, path, target) if find else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self._executed)
                return spec
        return None

    def _executed(self, module: ModuleType) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
            self._act(module)


class _Loader(importlib.abc.Loader):
    """A module's own loader, and `act` after it."""

    def __init__(self, loader: Any, act: Callable[[ModuleType], None]) -> None:  # noqa: ANN401 - any loader
        self._loader = loader
        self._act = act

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the module's own loader does."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Execute it, then act. What `act` raises stays here: the import has gone well."""
        self._loader.exec_module(module)
        try:
            self._act(module)
        except Exception as error:  # noqa: BLE001 - see `register`
            logger.warning("hipbmm: %s: %s", type(error).__name__, error)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else the own loader has (get_source, ...)
        return getattr(self._loader, name)
