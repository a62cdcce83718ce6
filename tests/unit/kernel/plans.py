"""Plans of well-known models under a scheme and options, for the tests of quantisation and of names."""

from __future__ import annotations

import copy

from tests.ptpc import PTPC
from tests.unit.kernel.configs import Config, encoded

from hipbmm_kernel.planner import plan
from hipbmm_kernel.planner.plan import Options, Plan


def build(model: str, quantisation: Config | None = PTPC, tensor: int = 1, **options: object) -> Plan:
    return plan.build(encoded(model, quantisation), Options(tensor)._replace(**options))  # type: ignore[arg-type]


def reasons(found: Plan) -> dict[str, str]:
    return {each.linear.name: each.reason for each in found.linears}


def ptpc(**changes: dict[str, object]) -> Config:
    """The PTPC scheme with fields of its weights, inputs or itself replaced."""
    config = copy.deepcopy(PTPC)
    group = config["config_groups"]["group_0"]  # type: ignore[index] # a literal
    group["weights"].update(changes.get("weights", {}))
    group["input_activations"].update(changes.get("inputs", {}))
    config.update(changes.get("top", {}))
    return config


def eligible(found: plan.Plan) -> set[str]:
    return {each.linear.name for each in found.linears if each.eligible}
