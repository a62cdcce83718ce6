"""Pods with the program unpacked, whose children come from a process that has torch loaded."""

from collections.abc import Mapping

import pytest
from tests.kernel.pods import Pod, PodMaker

from hipbmm_kernel.pod import payload


@pytest.fixture
def make_foreign(make_pod: PodMaker, zygote: Mapping[str, str]) -> PodMaker:
    """`make_foreign("a")`: a pod as BOOT leaves it, for tests whose children need torch."""

    def make(name: str = "pod-a", gpus: int = 1) -> Pod:
        pod = make_pod(name, gpus)
        payload.copy_program(pod.home)
        pod.env |= {**zygote, "PYTHONPATH": f"{zygote['PYTHONPATH']}:{pod.env['PYTHONPATH']}"}
        pod.env |= {"HIPBMM_SIM_SYSFS": pod.env["HIPBMM_SYSFS"], "HIPBMM_SIM_DEV": pod.env["HIPBMM_DEV"]}
        pod.env["HIPBMM_BUDGET_SECONDS"] = "900"  # a machine that does much else needs more than the 180 of a real one
        return pod

    return make
