"""What a child can be asked to do: probe, tune one problem, verify one row, try candidates."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

import torch

from hipbmm_kernel.linear import probe as linear_probe
from hipbmm_kernel.linear.op import HEURISTIC, ensure_extension, hipb_mm_fp8
from hipbmm_kernel.planner import cost
from hipbmm_kernel.rows.gemm import Problem
from hipbmm_kernel.tune import protocol
from hipbmm_kernel.tune.child.device import MemoryShortError
from hipbmm_kernel.tune.child.operands import Linear, Operands, operand_bytes
from hipbmm_kernel.tune.child.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from hipbmm_kernel.tune.child.device import Device

RESERVE = 192 << 20
"""Bytes left free beside AITER's buffers: at 128 MiB it skips tuning and lookup, and allocations are rounded up."""
CACHED_LINEARS = 8
FIRST_LAUNCHES = 3
WORTH_A_SECOND_LOOK = 1.15


class Tasks:
    """Does tasks on one device. Making it creates AITER's extension, which may build it first (minutes)."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._aiter = ensure_extension(device.torch_device)
        if not hasattr(self._aiter, "hipb_mm"):
            raise RuntimeError(protocol.UNSUPPORTED_AITER)
        self._operands: dict[Linear, Operands] = {}
        self._stopwatch: Stopwatch | None = None

    def run(self, command: dict[str, object], report: Callable[[dict[str, object]], None]) -> dict[str, object]:
        """The answer to one command. MemoryShortError when the device has not enough memory for it."""
        try:
            return self._do(command, report)
        except torch.cuda.OutOfMemoryError as error:
            # A neighbour on the device took what was free a moment ago: that says nothing about the problem.
            raise MemoryShortError(str(error).splitlines()[0]) from error

    def _do(self, command: dict[str, object], report: Callable[[dict[str, object]], None]) -> dict[str, object]:
        kind = command["do"]
        if kind == protocol.PROBE:
            return {"reason": linear_probe.probe(self._device.torch_device, self._device.fp8)}
        if kind == protocol.TUNE:
            return self._tune(command)
        if kind == protocol.VERIFY:
            return self._verify(command)
        if kind == protocol.SEARCH:
            return self._search(command, report)
        raise ValueError(f"no such task: {kind}")

    def _tune(self, command: dict[str, object]) -> dict[str, object]:
        """One call with online tuning on, which makes AITER tune and append its row, and one that must find the row."""
        problem = _problem(command)
        operands = self._prepare(command, cost.tuning_bytes(problem))
        began = time.monotonic()
        self._call(operands, problem.m, HEURISTIC)
        self._device.synchronize()
        tuned = time.monotonic()
        self._call(operands, problem.m, HEURISTIC)
        self._device.synchronize()
        return {"seconds": tuned - began}

    def _verify(self, command: dict[str, object]) -> dict[str, object]:
        """Compare an index's result with fp32, and time it against the heuristic's choice, turn by turn."""
        problem = _problem(command)
        index = _integer(command, "index")
        operands = self._prepare(command, 0)
        result = self._call(operands, problem.m, index)
        verdict = operands.expected().compare(result)
        if verdict is not None:
            return {"correct": False, "reason": verdict}
        default_verdict = self._try(functools.partial(self._check_default, operands, problem.m, result))
        del result
        rounds = _integer(command, "rounds")
        tuned, default = self._race(operands, problem.m, (index, HEURISTIC), rounds, default_verdict is None)
        return {"correct": True, "tuned": tuned, "default": default, "defaultWrong": default_verdict}

    def _race(
        self, operands: Operands, m: int, indices: tuple[int, int], rounds: int, both: bool
    ) -> tuple[list[float], list[float]]:
        """Microseconds of both indices in each round; who goes first alternates, so that drift hits both alike."""
        watch = self._watch()
        calls = [functools.partial(self._call, operands, m, index) for index in indices[: 2 if both else 1]]
        launches = watch.launches_for(max(watch.time(call, 3) for call in calls))
        times: list[list[float]] = [[], []]
        for turn in range(rounds):
            order = range(len(calls)) if turn % 2 == 0 else reversed(range(len(calls)))
            for which in order:
                times[which].append(watch.time(calls[which], launches))
        return times[0], times[1]

    def _search(self, command: dict[str, object], report: Callable[[dict[str, object]], None]) -> dict[str, object]:
        """Try every index that hipBLASLt lists; each is reported before it runs, since it may end this process."""
        problem = _problem(command)
        operands = self._prepare(command, 0)
        skip = set(_list(command, "skip"))
        deadline = time.monotonic() + float(str(command["seconds"]))
        best = float("inf")
        found = [index for index in self._candidates(operands, problem.m) if index > 0 and index not in skip]
        tried = 0
        for index in found:
            if time.monotonic() > deadline:
                break
            report({"event": protocol.CANDIDATE, "id": command["id"], "index": index, "us": None})
            verdict = self._try(functools.partial(self._check, operands, problem.m, index))
            us = None
            if verdict is None:
                us = self._quick_time(functools.partial(self._call, operands, problem.m, index), best)
                best = min(best, us)
            tried += 1
            report({"event": protocol.CANDIDATE, "id": command["id"], "index": index, "us": us, "reason": verdict})
        return {"listed": len(found), "tried": tried}

    def _quick_time(self, call: Callable[[], object], best: float) -> float:
        """Microseconds of a call; exactly only when a first look says that it may become the best."""
        watch = self._watch()
        us = watch.time(call, FIRST_LAUNCHES)
        return us if us > best * WORTH_A_SECOND_LOOK else watch.time(call, watch.launches_for(us))

    def _candidates(self, operands: Operands, m: int) -> list[int]:
        """hipb_findallsols: it does not ask for the swizzle order, so its list may hold indices with wrong results."""
        x, x_scale = operands.tokens(m)
        found = self._aiter.hipb_findallsols(
            x,
            operands.shuffled,
            bias=operands.bias,
            out_dtype=torch.bfloat16,
            scaleA=x_scale,
            scaleB=operands.weight_scale,
            scaleC=None,
            bpreshuffle=True,
        )
        return [int(index) for index in found]

    def _call(self, operands: Operands, m: int, index: int) -> torch.Tensor:
        x, x_scale = operands.tokens(m)
        return hipb_mm_fp8(
            x, operands.shuffled, x_scale, operands.weight_scale, operands.bias, torch.bfloat16, solution_index=index
        )

    def _check(self, operands: Operands, m: int, index: int) -> str | None:
        return operands.expected().compare(self._call(operands, m, index))

    def _check_default(self, operands: Operands, m: int, right: torch.Tensor) -> str | None:
        """Whether the heuristic's choice is right, too: what equals a right result needs no second comparison."""
        result = self._call(operands, m, HEURISTIC)
        return None if torch.equal(result, right) else operands.expected().compare(result)

    @staticmethod
    def _try(call: Callable[[], str | None]) -> str | None:
        try:
            return call()
        except RuntimeError as error:
            return str(error).splitlines()[0][:200] if str(error) else "RuntimeError"

    def _watch(self) -> Stopwatch:
        if self._stopwatch is None:
            self._stopwatch = Stopwatch()
        return self._stopwatch

    def _prepare(self, command: dict[str, object], extra: int) -> Operands:
        """The operands of a command's linear, made or remembered; MemoryShortError when `extra` would not fit too."""
        linear = Linear(_integer(command, "n"), _integer(command, "k"), bool(command["bias"]))
        rows = _integer(command, "rows")
        held = self._operands.get(linear)
        if held is None or held.rows < rows:
            if len(self._operands) >= CACHED_LINEARS:
                self._operands.clear()
            self._demand(operand_bytes(linear, rows), linear)
            held = self._operands[linear] = Operands(self._device, linear, rows)
        if extra:
            self._demand(extra, linear)
        return held

    def _demand(self, needed: int, keep: Linear) -> None:
        """MemoryShortError unless `needed` bytes are free, once other linears' operands are dropped if need be."""
        free = self._device.free_bytes()
        if free < needed + RESERVE and self._operands:
            self._operands = {linear: held for linear, held in self._operands.items() if linear == keep}
            free = self._device.free_bytes()
        if free < needed + RESERVE:
            raise MemoryShortError(f"needs {needed + RESERVE >> 20} MiB, {free >> 20} MiB are free")


def _problem(command: dict[str, object]) -> Problem:
    return Problem(_integer(command, "m"), _integer(command, "n"), _integer(command, "k"))


def _integer(command: dict[str, object], name: str) -> int:
    value = command[name]
    if not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}")
    return value


def _list(command: dict[str, object], name: str) -> list[object]:
    value = command[name]
    if not isinstance(value, list):
        raise TypeError(f"{name} is {value!r}")
    return value
