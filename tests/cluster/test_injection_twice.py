"""Two installations whose admission looks at the same pods; what the pages say of a pod that is applied twice, and a
policy of theirs, which labels workloads."""

import contextlib
import json
import re
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import stacks
from tests.cluster import injection
from tests.cluster.api import Api, ApiStatusError, until
from tests.cluster.operator_process import NAMESPACE, ROOT

from hipbmm_operator.injection import spelling
from hipbmm_operator.kube.kinds import DEPLOYMENT, POD

Json = dict[str, Any]

FORMER = "of the former version"
"""What the second installation makes differently."""


class Places:
    """A namespace of one installation, one of the other, and one of both; each has the profile."""

    def __init__(self, api: Api) -> None:
        mark = uuid.uuid4().hex[:8]
        self.api = api
        self.one, self.other, self.both = (
            injection.namespace(api, f"{by}-{mark}", by) for by in ("policy", "other", "both")
        )
        self.every = (self.one, self.other, self.both)
        for place in self.every:
            injection.put_profile(api, stacks.profile(place))

    def made(self, stack: str, place: str) -> Json:
        """The pod's spec as the API server would store it."""
        return injection.comparable(injection.dry(self.api, stacks.asking(stack, place)))


@pytest.fixture
def places(api: Api) -> Iterator[Places]:
    found = Places(api)
    yield found
    for place in found.every:
        api.delete(NAMESPACE, "", place)


def other_policy(places: Places, _: Path) -> AbstractContextManager[None]:
    """The texts of the two differ, as those of two versions do."""
    return injection.policies(places.api, "hipbmm-former", ("other", "both"), FORMER)


def other_webhook(places: Places, scratch: Path) -> AbstractContextManager[None]:
    """It has read another recipe."""
    more = [{"name": "HIPBMM_MARK", "value": FORMER}]
    profiles = [stacks.profile(place, env=more) for place in (places.other, places.both)]
    return injection.webhooks(places.api, scratch, profiles, ("other", "both"))


def ours(spec: Json) -> list[str]:
    """Names of ours, as often as they occur."""
    names = [each["name"] for key in ("initContainers", "containers", "volumes") for each in spec.get(key, [])]
    return sorted(name for name in names if name in (*spelling.CONTAINERS, *spelling.VOLUMES))


@pytest.mark.parametrize("second", [other_policy, other_webhook])
def test_two_installations_inject_a_pod_once(places: Places, tmp_path: Path, second: Any) -> None:  # noqa: ANN401  # one of the above
    """The pod is as one of the two makes it, and nothing of the other is left."""
    with injection.policies(places.api, by=("policy", "both")), second(places, tmp_path):
        until("the one to inject", lambda: spelling.WARM in ours(places.made("deployment", places.one)))
        until("the other to inject", lambda: FORMER in json.dumps(places.made("deployment", places.other)))
        until("both to inject", lambda: spelling.WARM in ours(places.made("deployment", places.both)))
        for stack in ("deployment", "deployment-args", "kserve", "kuberay-worker"):
            one, other, both = (places.made(stack, place) for place in places.every)
            assert one != other
            assert both in (one, other)
            assert ours(both) == sorted(set(ours(both)))


@pytest.mark.parametrize(("stack", "accepted"), [("deployment-args", True), ("deployment", False)])
def test_a_pod_without_an_owner_that_is_applied_twice(places: Places, api: Api, stack: str, *, accepted: bool) -> None:
    """With a command it is refused then, as docs/any-pod/deployment.md says: a command cannot be changed back."""
    pod = stacks.asking(stack, places.one)
    pod["metadata"] = {"name": stack, "namespace": places.one, "labels": pod["metadata"]["labels"]}
    with injection.policies(api):
        until("the policy to inject", lambda: spelling.WARM in ours(places.made(stack, places.one)))
        assert spelling.WARM in ours(api.apply(POD, pod)["spec"])
        with contextlib.nullcontext() if accepted else pytest.raises(ApiStatusError, match="may not change"):
            api.apply(POD, pod)


def test_the_policy_of_the_kyverno_page_labels_workloads_with_gpus(api: Api, places: Places) -> None:
    """Its `spec`, as the MutatingAdmissionPolicy that the page says it is."""
    page = (ROOT / "docs" / "any-pod" / "kyverno.md").read_text()
    body, _ = (yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    meta = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": body["metadata"]["name"]}}
    spec = {**body["spec"], "failurePolicy": "Ignore", "reinvocationPolicy": "Never"}
    api.apply(injection.POLICY, {**meta, "kind": injection.POLICY.kind, "spec": spec})
    binding = {"policyName": body["metadata"]["name"]}
    api.apply(injection.BINDING, {**meta, "kind": injection.BINDING.kind, "spec": binding})
    api.merge(NAMESPACE, "", places.one, {"metadata": {"labels": {"hipbmm": "on"}}})

    def profile_of(pod: Json, place: str = places.one) -> str:
        template = {"metadata": {"labels": pod["metadata"]["labels"]}, "spec": pod["spec"]}
        made = {"selector": {"matchLabels": {"app": pod["metadata"]["labels"]["app"]}}, "template": template}
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "namespace": place}}
        stored = api.request("POST", DEPLOYMENT.path(place), {**owner, "spec": made}, {"dryRun": "All"})
        return str(stored["spec"]["template"]["metadata"]["labels"].get(spelling.LABEL_PROFILE, ""))

    asking, without = stacks.pod("aibrix"), stacks.pod("aibrix")
    asking["metadata"]["labels"] = {"app": "x", spelling.LABEL_PROFILE: "mine"}
    del without["spec"]["containers"][0]["resources"]
    try:
        until("the policy to label", lambda: profile_of(stacks.pod("aibrix")) == "qwen")
        assert profile_of(asking) == "mine"
        assert profile_of(without) == ""
        assert profile_of(stacks.pod("aibrix"), places.both) == ""
    finally:
        api.delete(injection.BINDING, "", body["metadata"]["name"])
        api.delete(injection.POLICY, "", body["metadata"]["name"])
