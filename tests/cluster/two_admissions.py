"""One profile under both ways of admission, and what each of them makes of a pod."""

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import stacks
from tests.cluster import injection
from tests.cluster.api import Api, until
from tests.cluster.operator_process import NAMESPACE

Json = dict[str, Any]


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
        until("the policy to know it", lambda: mark in json.dumps(injection.dry(self.api, probe)))

    def label(self, key: str, value: str | None, known: Callable[[str], bool]) -> None:
        """Label the two namespaces; returns when admission goes by it in both."""
        for place in (self.policy, self.webhook):
            self.api.merge(NAMESPACE, "", place, {"metadata": {"labels": {key: value}}})
            until(f"{key}={value} in {place}", lambda place=place: known(place))  # type: ignore[misc]

    def made(self, pod: Json) -> tuple[Json, Json, Json]:
        """The pod by the policy, by the webhook, and by an API server without us."""
        return tuple(  # type: ignore[return-value]  # three of them
            injection.comparable(injection.dry(self.api, placed(pod, place)))
            for place in (self.policy, self.webhook, self.plain)
        )


@contextmanager
def both(api: Api, scratch: Path) -> Iterator[Two]:
    """Both ways of admission, and their namespaces."""
    profiles: list[Json] = []
    with injection.policies(api), injection.webhooks(api, scratch, profiles):
        found = Two(api, uuid.uuid4().hex[:8], profiles)
        found.put()
        yield found
        for place in (found.policy, found.webhook, found.plain):
            api.delete(NAMESPACE, "", place)


def placed(pod: Json, namespace: str) -> Json:
    """The pod in this namespace."""
    body = copy.deepcopy(pod)
    body["metadata"]["namespace"] = namespace
    return body
