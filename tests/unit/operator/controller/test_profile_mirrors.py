"""ConfigMaps that have the name of a profile's mirror, and are somebody else's."""

import json

import pytest
from tests.unit.operator.controller.profile_harness import KEY, Harness
from tests.unit.operator.controller.test_profiles import tuned

from hipbmm_operator.kube import kinds
from hipbmm_operator.observe.profile_facts import ProfileReads


async def test_the_mirror_of_somebody_else_is_read_and_not_written() -> None:
    """That of a HipbmmDeployment that is called `qwen-profile` has the name of ours."""
    harness = Harness()
    harness.reconcile.reads = ProfileReads(
        harness.kube,  # type: ignore[arg-type]  # the part that is used
        "hipbmm-injection",
        lambda _: ("other-mirror", "qwen-profile-mirror"),
        harness.nodes.kubelets,
        lambda: harness.clock,
    )
    owner = {"kind": "HipbmmDeployment", "name": "qwen-profile", "uid": "theirs"}
    metadata = {"name": "qwen-profile-mirror", "ownerReferences": [owner]}
    harness.put(kinds.CONFIG_MAP, {"metadata": metadata, "binaryData": {}})
    await harness.run()
    tuned(harness)
    await harness.run()
    status = await harness.run()
    assert status["injection"]["mirrors"] == ["qwen-profile-mirror", "other-mirror"]
    assert harness.kube.objects[kinds.CONFIG_MAP, "default", "qwen-profile-mirror"]["binaryData"] == {}
    assert "was made for HipbmmDeployment qwen-profile" in json.dumps(status["conditions"])


async def test_a_mirror_that_somebody_deletes_is_made_again_of_the_rows_that_logs_still_have() -> None:
    harness = Harness()
    await harness.run()
    key = tuned(harness)
    await harness.run()
    at = (kinds.CONFIG_MAP, "default", "qwen-profile-mirror")
    await harness.run()
    del harness.kube.objects[at]
    harness.clock += 61
    await harness.run()
    assert list(harness.kube.objects[at]["binaryData"]) == [key]
    harness.kube.reads.clear()
    harness.clock += 5
    await harness.run()
    assert not [what for verb, what in harness.kube.reads if verb == "log"], "they are read once"


async def test_a_mirror_that_cannot_be_made_of_what_logs_have_is_looked_for_each_minute() -> None:
    """The rows were damaged, or have been rotated away."""
    harness = Harness()
    await harness.run()
    tuned(harness)
    harness.kube.logs["a", "hipbmm-warm"] = ""
    await harness.run()
    harness.kube.reads.clear()
    for _ in range(24):
        harness.clock += 5
        await harness.reconcile(KEY)
    assert 1 <= harness.kube.reads.count(("get", "ConfigMap qwen-profile-mirror")) <= 3
    assert not [what for verb, what in harness.kube.reads if verb == "log"]


@pytest.mark.parametrize("labels", [{"app.kubernetes.io/part-of": "hipbmm"}, {}])
async def test_a_config_map_of_the_users_that_has_the_name_of_a_mirror_stays(labels: dict[str, str]) -> None:
    """One of ours that has lost its owner, as in a backup, is taken on."""
    harness = Harness()
    metadata = {"name": "qwen-profile-mirror", "labels": labels}
    harness.put(kinds.CONFIG_MAP, {"metadata": metadata, "binaryData": {"theirs": "AAAA"}})
    await harness.run()
    key = tuned(harness)
    await harness.run()
    assert labels or "was made for something else" in json.dumps(await harness.run())
    found = harness.kube.objects[kinds.CONFIG_MAP, "default", "qwen-profile-mirror"]["binaryData"]
    assert list(found) == ([key] if labels else ["theirs"])
