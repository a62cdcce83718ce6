"""Whatever an older, newer or missing CRD lets through: a reconcile ends with a status, and never with a defect."""

import itertools
from typing import Any

import pytest
from tests.schemafuzz import spec_schema, specs
from tests.unit.operator.fakekube import FakeKube, reconciler

from hipbmm_operator.kube.kinds import HIPBMM_DEPLOYMENT
from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.watch.cache import ObjectCache
from hipbmm_operator.watch.pruning import prune

Json = dict[str, Any]
KEY = NamespacedName("ns", "qwen")
COUNT = 300


async def reconciled(spec: object) -> tuple[FakeKube, Json]:
    """Reconcile a resource until nothing is written; its status."""
    kube, cache = FakeKube(), ObjectCache()
    metadata = {"namespace": "ns", "name": "qwen", "uid": "uid-0", "generation": 1, "resourceVersion": "0"}
    body = {"apiVersion": "hipbmm.io/v1alpha1", "kind": "HipbmmDeployment", "metadata": metadata, "spec": spec}
    kube.objects[HIPBMM_DEPLOYMENT, *KEY] = body
    cache.put(HIPBMM_DEPLOYMENT, prune(HIPBMM_DEPLOYMENT, body))
    reconcile = reconciler(kube, cache)
    for _ in range(5):
        before = len(kube.writes)
        await reconcile(KEY)
        if len(kube.writes) == before:
            break
    else:
        raise AssertionError(f"it does not come to rest: {kube.writes[-10:]}")
    return kube, kube.objects[HIPBMM_DEPLOYMENT, *KEY]["status"]


@pytest.mark.parametrize("seed", range(3))
async def test_no_spec_is_a_defect(seed: int) -> None:
    reported: dict[str, int] = {}
    for number, spec in enumerate(itertools.islice(specs(seed), COUNT // 3)):
        try:
            kube, status = await reconciled(spec)
        except Exception as error:
            raise AssertionError(f"spec {number} of seed {seed}: {spec!r:.2000}") from error
        (config,) = [entry for entry in status["conditions"] if entry["type"] == "ConfigValid"]
        reported[config["reason"]] = reported.get(config["reason"], 0) + 1
        made = any(kind == "Deployment" for _, kind, _ in kube.writes)
        assert made == (config["reason"] not in ("InvalidSpec", "ConflictingArgs")), spec
    assert reported["Valid"] > 5
    assert reported["InvalidSpec"] > 20


@pytest.mark.parametrize("spec", [None, [], "x", 7, {}, {"model": None}, {"model": {"name": None}, "image": 5}])
async def test_a_spec_that_is_none_is_reported(spec: object) -> None:
    _, status = await reconciled(spec)
    assert status["conditions"]


def test_the_schema_has_what_the_fuzz_needs() -> None:
    schema = spec_schema()
    assert schema["type"] == "object"
    assert len(schema["properties"]) > 10
