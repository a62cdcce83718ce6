"""What a child can be asked to do: probe a linear, tune a problem, verify an index, search all indices.

AITER asks getenv for HIP_ONLINE_TUNING on each call and opens its table in the working directory, so one process can do
it all: tuning is on while it tunes, and while it looks a row up as the server will; else it is off.
"""

import contextlib
import functools
import os
import shutil
import time
from collections.abc import Callable, Iterator

import torch

from hipbmm_kernel.contract.settings import ONLINE_TUNING, SERVED_NAME
from hipbmm_kernel.linear.op import HEURISTIC, ensure_extension
from hipbmm_kernel.planner import cost
from hipbmm_kernel.rows import aiter_csv
from hipbmm_kernel.rows.gemm import Linear, Problem, Row
from hipbmm_kernel.system.shown import first_line
from hipbmm_kernel.tune import protocol
from hipbmm_kernel.tune.child.device import Device
from hipbmm_kernel.tune.child.operands import Operands, operand_bytes
from hipbmm_kernel.tune.child.stopwatch import ROTATED_BYTES, Stopwatch, sets_for
from hipbmm_kernel.tune.protocol import MemoryShortError, Message

RESERVE = 192 << 20
"""Bytes left free beside AITER's buffers. At 128 MiB free AITER skips tuning and look-up (hipbsolgemm.cu); hipMalloc
rounds each of its three buffers up to 2 MiB, torch's allocator blocks of more than 10 MiB up to 20 MiB."""
CACHED_BYTES = 24 << 30
"""Of operands that stay on the device: all linears of a 70B model at 1024 tokens; the smallest MI3xx has 128 GB."""
PROMISING = 1.15
"""A candidate whose first two launches take longer than this times the best is not raced: launches of one kernel
scattered by less in AITER's own 50 warm-ups (it gives up at 1/0.8 = 1.25)."""


class Tasks:
    """Does tasks on one device. Making it creates AITER's extension, which may build it first (minutes)."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._aiter = ensure_extension(device.torch_device)
        if not hasattr(self._aiter, "hipb_mm"):
            raise RuntimeError("aiter has no hipb_mm")
        self._operands: dict[Linear, Operands] = {}
        self._stopwatch = Stopwatch()

    def run(self, command: Message, report: Callable[[Message], None]) -> Message:
        """The answer to one command. MemoryShortError when the device has not enough memory for it."""
        tasks = {
            protocol.PROBE: self._probe,
            protocol.TUNE: self._tune,
            protocol.VERIFY: self._verify,
            protocol.SEARCH: self._search,
        }
        try:
            return tasks[command["do"]](command, report)
        except torch.cuda.OutOfMemoryError as error:
            # A neighbour on the device took what was free a moment ago: that says nothing about the problem.
            raise MemoryShortError(first_line(error)) from error

    def release(self) -> None:
        """Give the device's memory back."""
        self._operands.clear()

    def _probe(self, command: Message, _report: Callable[[Message], None]) -> Message:
        """Whether the heuristic has a right solution for a linear at M tokens, tuning off; `turned`: see `Probe`."""
        operands = self._prepare(command, 0)
        m = _problem(command).m
        if command["turned"]:
            return {"reason": self._check_turned(operands, m, HEURISTIC)}
        return {"reason": self._check(operands, functools.partial(operands.launch, m))}

    def _tune(self, command: Message, _report: Callable[[Message], None]) -> Message:
        """One call with online tuning on: AITER tunes and appends its row to the table here, which the parent reads."""
        problem = _problem(command)
        operands = self._prepare(command, cost.tuning_bytes(problem))
        began = time.monotonic()
        with _tuning_on():
            operands.launch(problem.m)
            torch.cuda.synchronize()
        return {"seconds": time.monotonic() - began}

    def _verify(self, command: Message, report: Callable[[Message], None]) -> Message:
        """Compare an index with fp32: found in a table as the server finds it, and given. Then time it against -1.

        A row's key does not say whether there is a bias, so neither does what is proven: looked up as the plan has it,
        given the other way round. `right` is reported before anything else runs: what ends the process after it says
        nothing about the index.
        """
        problem, index, rounds = _problem(command), command["index"], command["rounds"]
        operands = self._prepare(command, 0)
        given = functools.partial(operands.launch, problem.m, index)
        row = Row(command["key"], index)
        verdict = self._check(operands, functools.partial(self._look_up, operands, problem.m, row))
        verdict = verdict or self._check_turned(operands, problem.m, index)
        if verdict is not None:
            return {"correct": False, "reason": verdict}
        report({"event": protocol.RIGHT})
        if not rounds:
            return {"correct": True}
        default = functools.partial(operands.launch, problem.m, HEURISTIC)
        default_verdict = self._check(operands, default) if command["default"] else "not asked"
        contenders = [given, default] if default_verdict is None else [given]
        times = self._stopwatch.race(contenders, len(operands.copies), rounds)
        verdict = self._check(operands, given)  # some kernels are wrong when they have run before
        if verdict is not None:
            return {"correct": False, "reason": f"right at first, then {verdict}"}
        return {"correct": True, "tuned": times[0], "default": times[1:] and times[1], "defaultWrong": default_verdict}

    def _look_up(self, operands: Operands, m: int, row: Row) -> torch.Tensor:
        """The server's own call, in a directory whose table holds this row. RuntimeError when AITER misses it."""
        with _tuning_on(), _table_of(row) as size:
            result = operands.launch(m)
            torch.cuda.synchronize()
            if os.stat(SERVED_NAME).st_size != size:
                raise RuntimeError("AITER does not find this row in its table")
        return result

    def _search(self, command: Message, report: Callable[[Message], None]) -> Message:
        """Try every index that hipBLASLt lists; each is reported before it runs, since it may end this process.

        `enough` right ones end it, 0 for all.
        """
        problem, enough = _problem(command), command["enough"]
        operands = self._prepare(command, 0)
        skip = set(command["skip"])
        deadline = time.monotonic() + command["seconds"]
        best, right, tried = float("inf"), 0, 0
        found = [index for index in self._candidates(operands, problem.m) if index > 0 and index not in skip]
        for index in found:
            if time.monotonic() > deadline or 0 < enough <= right:
                break
            report({"event": protocol.CANDIDATE, "index": index, "us": None})
            call, us = functools.partial(operands.launch, problem.m, index), None
            verdict = self._check(operands, call) or self._check_turned(operands, problem.m, index)
            if verdict is None:
                right += 1
                us = self._quick_time(call, operands, best)
                best = min(best, us)
            tried += 1
            report({"event": protocol.CANDIDATE, "index": index, "us": us, "reason": verdict})
        return {"listed": len(found), "tried": tried}

    def _quick_time(self, launch: Callable[[int], object], operands: Operands, best: float) -> float:
        """Microseconds of a launch; exactly only when two of them say that it may become the best."""
        us = self._stopwatch.estimate(launch)
        return us if us > best * PROMISING else self._stopwatch.race([launch], len(operands.copies), 1)[0][0]

    def _candidates(self, operands: Operands, m: int) -> list[int]:
        """hipb_findallsols: it does not ask for the swizzle order, so its list may hold indices with wrong results."""
        x, x_scale = operands.tokens(m)
        found = self._aiter.hipb_findallsols(
            x,
            operands.copies[0],
            bias=operands.bias,
            out_dtype=torch.bfloat16,
            scaleA=x_scale,
            scaleB=operands.weight_scale,
            scaleC=None,
            bpreshuffle=True,
        )
        return [int(index) for index in found]

    @staticmethod
    def _check(operands: Operands, call: Callable[[], torch.Tensor]) -> str | None:
        """Why the result of a call is wrong or there is none, or None when every element is right."""
        try:
            result = call()
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            return first_line(error)
        return operands.expected.compare(result)

    def _check_turned(self, operands: Operands, m: int, index: int) -> str | None:
        """The same of an index, with a bias where the linear has none, and without where it has one."""
        turned = operands.turned(m)
        verdict = self._check(turned, functools.partial(turned.launch, m, index))
        return verdict and f"{'without' if operands.linear.bias else 'with'} a bias: {verdict}"

    def _prepare(self, command: Message, extra: int) -> Operands:
        """The operands of a command's linear, made or remembered; MemoryShortError when `extra` would not fit too."""
        linear = Linear(command["n"], command["k"], command["bias"])
        rows = command["rows"]
        held = self._operands.get(linear)
        if held is None or held.rows < rows:
            needed = operand_bytes(linear, rows)
            if needed + sum(operand_bytes(each, other.rows) for each, other in self._operands.items()) > CACHED_BYTES:
                self._operands.clear()
            self._demand(needed, linear)
            held = self._operands[linear] = Operands(self._device, linear, rows)
        if extra:
            held.drop_copies()
            self._demand(extra, linear)
        elif command.get("rounds") and self._device.free_bytes() > ROTATED_BYTES + RESERVE:
            held.rotate(sets_for(linear.n * linear.k))
        return held

    def _demand(self, needed: int, keep: Linear) -> None:
        """MemoryShortError unless `needed` bytes are free, once other linears' operands are dropped if need be."""
        free = self._device.free_bytes()
        if free < needed + RESERVE and self._operands:
            self._operands = {linear: held for linear, held in self._operands.items() if linear == keep}
            free = self._device.free_bytes()
        if free < needed + RESERVE:
            raise MemoryShortError(f"needs {needed + RESERVE >> 20} MiB, {free >> 20} MiB are free")


@contextlib.contextmanager
def _tuning_on() -> Iterator[None]:
    os.environ[ONLINE_TUNING] = "1"
    try:
        yield
    finally:
        del os.environ[ONLINE_TUNING]


@contextlib.contextmanager
def _table_of(row: Row) -> Iterator[int]:
    """Be in a directory whose table holds exactly this row; the size of the table."""
    here = os.getcwd()
    directory = f"{here}/lookup"
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    data = aiter_csv.format_rows([row])
    with open(f"{directory}/{SERVED_NAME}", "wb") as table:
        table.write(data)
    os.chdir(directory)
    try:
        yield len(data)
    finally:
        os.chdir(here)


def _problem(command: Message) -> Problem:
    return Problem(command["m"], command["n"], command["k"])
