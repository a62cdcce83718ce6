"""Checks of the container: is the GPU what sysfs says, is the gate open, is there a solution at all."""

from hipbmm_kernel.acceptance.context import Context
from hipbmm_kernel.acceptance.report import Verdict, failed, judged, skipped
from hipbmm_kernel.acceptance.supervision import ChildRun
from hipbmm_kernel.tune import attest

INSPECT_SECONDS = 900.0
"""Enough for a cold build of AITER's module."""

REGISTER_SECONDS = 300.0
NO_SOLUTION = "found 0 valid solutions"


def environment(context: Context) -> Verdict:
    """PyTorch for ROCm sees a GPU, AITER imports and has the GEMM. Its child serves the next three checks as well."""
    child = context.child("inspect", "inspect", INSPECT_SECONDS)
    evidence = child.evidence("device", "gate", "library", "probe", "error")
    device, library = evidence["device"], evidence["library"]
    if device is None:
        return failed(f"PyTorch sees no GPU: {_why(child)}", evidence)
    if library is None:
        return failed(f"AITER did not start: {_why(child)}", evidence)
    if not library["hipb_mm"]:
        return failed("this AITER has no hipb_mm: vLLM's HIPBMM kernel cannot run here", evidence)
    name = f"{device['name']} ({device['arch']}, {device['computeUnits']} CUs), PyTorch {device['torch']}"
    return judged(bool(device["hip"]), f"{name}, HIP {device['hip']}", f"{name} is no ROCm build", evidence)


def stack_identity(context: Context) -> Verdict:
    """What was read from files without torch is what torch, HIP and AITER see."""
    identity, seen = context.identity, context.evidence("environment")
    stack, device, library = identity.stack, seen["device"], seen["library"]
    differences = [f"unknown: {name}" for name in stack.unknown()]
    hardware = attest.hardware_difference(stack, device)
    loaded = attest.library_difference(stack, library["loaded"], context.env, used=True)
    differences += [difference for difference in (hardware, loaded) if difference is not None]
    if stack.fp8 != device["fp8"] or library["fp8"] not in ("", stack.fp8):
        differences.append(f"FP8 type: {stack.fp8} expected, op {device['fp8']}, AITER {library['fp8']}")
    evidence = {"stack": stack.document(), "key": stack.key, "device": device, "library": library}
    evidence |= {"gpus": identity.gpus, "notes": list(identity.notes), "differences": differences}
    return judged(not differences, f"key {stack.key}", "; ".join(differences), evidence)


def gate(context: Context) -> Verdict:
    """With the three flags set, vLLM's HIPBMM kernel is supported here."""
    seen = context.evidence("environment")["gate"]
    return judged(seen["accepted"], "the gate is open", f"the gate is shut: {seen['reason']}", dict(seen))


def probe(context: Context) -> Verdict:
    """One GEMM at M = 1024 gives a right product, or AITER's words for having no solution."""
    seen = context.evidence("environment")
    answer = seen["probe"]
    if answer is None:
        return failed(f"the probe gave no answer: {seen['end']['ended']}", {"supported": False, "end": seen["end"]})
    reason = answer["reason"]
    evidence = {"supported": reason is None, "reason": reason}  # `catalogue` leaves out what needs a solution
    clear = reason is None or NO_SOLUTION in reason
    yes = "a right product" if reason is None else f"no swizzled solution on this stack: {reason}"
    return judged(clear, yes, f"no clear answer: {reason}", evidence)


def registration(context: Context) -> Verdict:
    """The op over AITER passes `torch.library.opcheck`."""
    if context.identity.stack.simulated:
        return skipped("PyTorch's tracers ask the CUDA or HIP runtime itself, which a simulated GPU does not have")
    child = context.child("register", "register", REGISTER_SECONDS, online=False, problems=[min(context.problems)])
    outcomes = child.last("opcheck")
    evidence = {**child.evidence("opcheck", "compiled"), "why": _why(child)}
    if outcomes is None:
        return failed(f"no answer: {_why(child)}", evidence)
    wrong = [name for name, outcome in outcomes.items() if outcome != "SUCCESS"]
    return judged(not wrong, f"{len(outcomes)} parts", f"not a success: {', '.join(wrong)}", evidence)


def compilation(context: Context) -> Verdict:
    """`torch.compile` makes one graph of the op over AITER, with the right product."""
    seen = context.evidence("op-registration")
    compiled = seen["compiled"]
    if compiled is None:
        return failed(f"not compiled: {seen['why']}", {"end": seen["end"]})
    return judged(compiled["verdict"] is None, "one graph", f"wrong product: {compiled['verdict']}", compiled)


def _why(child: ChildRun) -> str:
    error = child.last("error")
    return f"{error['type']}: {error['message']}" if error else child.end.words()
