"""The recipe: what admission adds, as `status.injection`. Pure."""

import json
from collections.abc import Sequence
from typing import Literal

from hipbmm_operator.api.profile import ProfileSpec
from hipbmm_operator.api.profile_status import Harvest, HarvestResources, Kernel, Recipe, Setting
from hipbmm_operator.injection import spelling
from hipbmm_operator.profiles.facts import Facts


def build(name: str, spec: ProfileSpec, facts: Facts, held: Sequence[str], *, ready: bool) -> Recipe:
    """The recipe of a profile; `held` are images whose pods stay plain."""
    modes: list[Literal["Wrap", "EnvFile"]] = ["Wrap", "EnvFile"] if facts.env_files else ["Wrap"]
    # With these a pod finds a node wherever it finds one without the sidecar.
    resources = HarvestResources(limits={"cpu": "500m", "memory": "256Mi"}, requests={"cpu": "0", "memory": "0"})
    return Recipe(
        format=spelling.FORMAT,
        ready=ready,
        kernel=Kernel(config_map=facts.kernel.config_map, sha256=facts.kernel.sha256),
        mirrors=list(facts.mirrors) or None,
        claim=spec.cache.pvc.claim_name if spec.cache.pvc else None,
        modelConfig=spec.model.config_map_ref.name if spec.model.config_map_ref else None,
        container=spec.container,
        entrypoint=list(spec.entrypoint) or None,
        modes=modes,
        env=[Setting(name=key, value=value) for key, value in sorted(settings(name, spec).items())],
        harvest=Harvest(resources=resources) if spec.harvest == "Auto" and facts.preflight.harvest else None,
        held_images=list(held) or None,
    )


def settings(name: str, spec: ProfileSpec) -> dict[str, str]:
    """The program's settings; what is not set has the default of docs/pod-contract.md."""
    tuning, model = spec.tuning, spec.model
    values = {
        "HIPBMM_PROFILE": name,
        "HIPBMM_BUDGET_SECONDS": str(tuning.budget_seconds),
        "HIPBMM_MIRROR_LOG": "1" if spec.cache.mirror == "Always" else "",
        "HIPBMM_TUNE": "" if tuning.enabled else "0",
        "HIPBMM_VERIFY": "" if tuning.verify else "0",
        "HIPBMM_SEARCH": "" if tuning.search == "Online" else tuning.search,
        "HIPBMM_RETUNE_TOKEN": tuning.retune_token,
        "HIPBMM_MODEL": model.name or "",
        "HIPBMM_TENSOR_PARALLEL": str(model.tensor_parallel or ""),
        "HIPBMM_MODEL_CONFIG": f"{spelling.MODEL}/config.json" if model.config_map_ref else "",
        "HIPBMM_LINEARS": json.dumps([each.model_dump() for each in tuning.linears]) if tuning.linears else "",
        "HIPBMM_TOKENS": json.dumps(sorted(tuning.tokens)) if tuning.tokens else "",
    }
    return {key: value for key, value in values.items() if value}
