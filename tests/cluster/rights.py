"""The operator's role in the cluster, as an administrator changes it."""

from typing import Any

from tests.cluster.api import Api, until
from tests.cluster.operator_process import CLUSTER_ROLE

Json = dict[str, Any]
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class Rights:
    """The rules of one user. A change returns when the API server goes by it: its authorizer learns of it later."""

    def __init__(self, api: Api, role: str, user: str) -> None:
        self._api, self._role, self._user = api, role, user
        self.rules: list[Json] = api.get(CLUSTER_ROLE, "", role)["rules"]
        self._taken: tuple[str, str] | None = None

    def take(self, rules: list[Json], verb: str, resource: str) -> None:
        """Leave these rules only, by which the user may no longer do this."""
        self._taken = (verb, resource)
        self._api.merge(CLUSTER_ROLE, "", self._role, {"rules": rules})
        until(f"{verb} {resource} to be refused", lambda: not self._may(verb, resource))

    def give_back(self) -> None:
        """All rules of before."""
        self._api.merge(CLUSTER_ROLE, "", self._role, {"rules": self.rules})
        if self._taken is not None:
            verb, resource = self._taken
            until(f"{verb} {resource} to be allowed", lambda: self._may(verb, resource))

    def _may(self, verb: str, resource: str) -> bool:
        group = next(rule["apiGroups"][0] for rule in self.rules if resource in rule["resources"])
        name, _, part = resource.partition("/")
        asked = {"verb": verb, "group": group, "resource": name, "subresource": part}
        spec = {"user": self._user, "resourceAttributes": asked}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        return bool(self._api.request("POST", _REVIEWS, review)["status"]["allowed"])
