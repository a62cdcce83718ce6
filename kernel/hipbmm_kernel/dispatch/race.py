"""Padding against the heuristic, on the device, by the very function that serves: in the child of `check`."""

import os
import time
from collections.abc import Callable, Iterator
from itertools import groupby

import torch

from hipbmm_kernel.dispatch import bands, wrapper
from hipbmm_kernel.dispatch.bands import Timed
from hipbmm_kernel.dispatch.recorder import Recorder
from hipbmm_kernel.dispatch.table import Entry
from hipbmm_kernel.linear.op import HEURISTIC, ensure_extension
from hipbmm_kernel.rows.gemm import Linear
from hipbmm_kernel.tune.child.device import Device
from hipbmm_kernel.tune.child.operands import Operands, operand_bytes
from hipbmm_kernel.tune.child.stopwatch import ROTATED_BYTES, Stopwatch, sets_for
from hipbmm_kernel.tune.child.tasks import RESERVE

ROUNDS = 3
SLOW_SECONDS = 0.05
"""Of one launch, which takes 30 us on a GPU. A race makes hundreds: no start waits for those of an emulated device."""

ATTEMPTS = 5
"""Launches of which one must be fast enough: a host that is busy for a moment does not make a device slow."""

Launch = Callable[[int], torch.Tensor]


def race(exact: list[Entry], until: float, alive: Callable[[], None]) -> Iterator[Timed]:
    """The measured sizes, one after the other, up to the monotonic second `until`; `alive` is called before each.

    A linear for which the device has not enough memory is left out, and so is a size whose padded result is wrong.
    """
    device = Device()
    stopwatch = Stopwatch()
    function = ensure_extension(device.torch_device).hipb_mm
    chosen = sorted(bands.samples(exact), key=lambda entry: (entry[1:4], entry.m))
    rows = max((entry.padded_m for entry in chosen), default=0)
    for shape, entries in groupby(chosen, key=lambda entry: entry[1:4]):
        linear = Linear(*shape)
        if device.free_bytes() < operand_bytes(linear, rows) + ROTATED_BYTES + RESERVE:
            continue
        alive()
        operands = Operands(device, linear, rows)
        operands.rotate(sets_for(linear.n * linear.k))
        for entry in entries:
            if time.monotonic() > until:
                return
            alive()
            padded, default = _launches(device, operands, entry, function)
            if all(_seconds(padded) > SLOW_SECONDS for _ in range(ATTEMPTS)):
                break
            if operands.expected.compare(padded(0)) is None:
                times = stopwatch.race((padded, default), len(operands.copies), ROUNDS)
                yield Timed(*entry[:4], *(sorted(each)[len(each) // 2] for each in times))


def _seconds(launch: Launch) -> float:
    """Of a second launch: the first one may load the kernel."""
    launch(0)
    torch.cuda.synchronize()
    began = time.monotonic()
    launch(0)
    torch.cuda.synchronize()
    return time.monotonic() - began


def _launches(
    device: Device, operands: Operands, entry: Entry, function: Callable[..., torch.Tensor]
) -> tuple[Launch, Launch]:
    """The call of one size with an entry that pads it, and without. An index given reaches AITER as it is."""
    x, x_scale = operands.tokens(entry.m)
    recorder = Recorder(os.curdir, 0)
    dtypes = (device.fp8, torch.bfloat16)
    serving = wrapper.make(function, (entry,), x.get_device(), dtypes, recorder)

    def launch(hipb_mm: Callable[..., torch.Tensor], copy: int) -> torch.Tensor:
        return hipb_mm(
            x,
            operands.copies[copy],
            solution_index=HEURISTIC,
            bias=operands.bias,
            out_dtype=torch.bfloat16,
            scaleA=x_scale,
            scaleB=operands.weight_scale,
            scaleOut=None,
            bpreshuffle=True,
        )

    return lambda copy: launch(serving, copy), lambda copy: launch(function, copy)
