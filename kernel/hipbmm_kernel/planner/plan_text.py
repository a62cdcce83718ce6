"""A plan as people and scripts see it. The JSON's keys are a contract (see docs): none is renamed or removed."""

from hipbmm_kernel.planner.plan import Plan, PlannedLinear
from hipbmm_kernel.system.shown import one_line


def document(plan: Plan) -> dict[str, object]:
    """The plan in JSON's types. `estimateSeconds` is the upper end; `reason` says why nothing is planned."""
    least, most = plan.estimate
    return {
        "architecture": plan.architecture,
        "linears": [_linear(planned) for planned in plan.linears],
        "tokens": list(plan.tokens.planned),
        "problems": len(plan.problems),
        "estimateSeconds": round(most, 1),
        "source": plan.source,
        "estimateSecondsLeast": round(least, 1),
        "captureTokens": list(plan.tokens.captured),
        "eagerTokens": sorted(plan.tokens.eager),
        "quantisation": plan.quantisation,
        "compatible": None if plan.unsure and not plan.incompatible else not plan.incompatible,
        "reason": plan.reason,
        "message": plan.message,
        "leftOut": [{"name": name, "reason": reason} for name, reason in plan.left_out],
        "warnings": list(plan.warnings),
    }


def text(plan: Plan) -> str:
    """The plan for people."""
    lines = [f"{plan.architecture or 'no architecture'} ({plan.source}, quantisation {plan.quantisation})"]
    for planned in plan.linears:
        linear = planned.linear
        bias = " bias" if linear.bias else ""
        verdict = "eligible" if planned.eligible else planned.reason
        lines.append(f"  {linear.copies:4d} x {linear.name} {linear.n}x{linear.k}{bias}: {verdict}")
    lines += [f"  left out: {name}: {reason}" for name, reason in plan.left_out]
    lines += [f"  warning: {warning}" for warning in plan.warnings]
    least, most = plan.estimate
    tokens = plan.tokens.planned
    span = f"{len(tokens)} token counts from {tokens[0]} to {tokens[-1]}" if tokens else "no token counts"
    lines.append(f"{len(plan.problems)} problems: {span}, about {least:.0f} to {most:.0f} s on one GPU")
    if plan.message:
        lines.append(f"{plan.reason}: {plan.message}")
    return "\n".join((*map(one_line, lines), ""))


def _linear(planned: PlannedLinear) -> dict[str, object]:
    linear = planned.linear
    return {
        "name": linear.name,
        "n": linear.n,
        "k": linear.k,
        "bias": linear.bias,
        "count": linear.copies,
        "eligible": planned.eligible,
        "reason": planned.reason,
        "fatal": planned.fatal != "",
    }
