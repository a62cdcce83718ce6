"""Admission of foreign pods: the policy and the webhook give the same pods, and the right ones."""

import copy
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests import stacks
from tests.cluster import injection
from tests.cluster.api import Api, until
from tests.cluster.operator_process import NAMESPACE

Json = dict[str, Any]

pytestmark = pytest.mark.timeout(240)


class Two:
    """The same profiles in two namespaces: one of the policy, one of the webhook."""

    def __init__(self, api: Api, mark: str, profiles: list[Json]) -> None:
        self.api = api
        self.profiles = profiles
        self.policy = injection.namespace(api, f"policy-{mark}", "policy", **{"hipbmm.io/injection": "enabled"})
        self.webhook = injection.namespace(api, f"webhook-{mark}", "webhook", **{"hipbmm.io/injection": "enabled"})
        self.plain = injection.namespace(api, f"plain-{mark}", "nobody")

    def put(self, **more: Any) -> None:  # noqa: ANN401  # parts of a recipe
        """The profile in both namespaces, and nothing else; returns when admission knows it."""
        self.profiles.clear()
        for place in (self.policy, self.webhook):
            body = stacks.profile(place, **copy.deepcopy(more))
            injection.put_profile(self.api, body)
            self.profiles.append(body)
        mark = uuid.uuid4().hex
        body = stacks.profile(self.policy, name="known", env=[{"name": "HIPBMM_MARK", "value": mark}])
        injection.put_profile(self.api, body)
        probe = stacks.pod("kubeai", self.policy)
        probe["metadata"]["labels"]["hipbmm.io/profile"] = "known"
        until("the policy to know it", lambda: mark in json.dumps(injection.dry(self.api, probe)), 30)

    def made(self, pod: Json) -> tuple[Json, Json, Json]:
        """The pod by the policy, by the webhook, and by an API server without us."""
        return tuple(  # type: ignore[return-value]  # three of them
            injection.comparable(injection.dry(self.api, _in(pod, place)))
            for place in (self.policy, self.webhook, self.plain)
        )


def _in(pod: Json, namespace: str) -> Json:
    body = copy.deepcopy(pod)
    body["metadata"]["namespace"] = namespace
    return body


@pytest.fixture(scope="module")
def two(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    profiles: list[Json] = []
    scratch = tmp_path_factory.mktemp("webhook")
    with injection.policies(api), injection.webhooks(api, scratch, profiles):
        found = Two(api, uuid.uuid4().hex[:8], profiles)
        found.put()
        yield found
        for place in (found.policy, found.webhook, found.plain):
            api.delete(NAMESPACE, "", place)


@pytest.fixture
def usual(two: Two) -> Two:
    """With the profile as it usually is."""
    two.put()
    return two


@pytest.mark.parametrize("stack", stacks.STACKS)
def test_policy_and_webhook_give_the_same_pod(two: Two, stack: str) -> None:
    policy, webhook, plain = two.made(stacks.asking(stack))
    assert json.dumps(policy) == json.dumps(webhook)
    assert "hipbmm-warm" in [each["name"] for each in policy["initContainers"]]
    assert policy != plain


@pytest.mark.parametrize("stack", stacks.STACKS)
def test_twice_is_once(two: Two, stack: str) -> None:
    once = injection.dry(two.api, _in(stacks.asking(stack), two.policy))
    again = {key: once[key] for key in ("apiVersion", "kind", "metadata", "spec")}
    again["metadata"] = {key: once["metadata"][key] for key in ("labels", "namespace")} | {"generateName": "again-"}
    assert two.made(again)[0] == injection.comparable(once)
    assert two.made(again)[1] == injection.comparable(once)
