"""The reason of a write that was refused."""

import pytest

from hipbmm_operator.kube import errors
from hipbmm_operator.kube.kinds import SERVICE
from hipbmm_operator.plan import write_failure


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.ForbiddenError(403, "Forbidden", 'pods "x" is forbidden: exceeded quota: q'), "QuotaExceeded"),
        (
            errors.ForbiddenError(403, "Forbidden", "unable to create: namespace is being terminated"),
            "NamespaceTerminating",
        ),
        (errors.ForbiddenError(403, "Forbidden", 'User "x" cannot patch resource'), "Forbidden"),
        (errors.ForbiddenError(403, "Forbidden", 'services "limitrange" is forbidden: User "x" cannot'), "Forbidden"),
        (errors.ForbiddenError(403, "Forbidden", 'User "exceeded quota" cannot patch services'), "Forbidden"),
        (
            errors.ForbiddenError(
                403, "Forbidden", "cpu max limit to request ratio per Container is 2, but no request"
            ),
            "LimitRangeRejected",
        ),
        (
            errors.ForbiddenError(
                403, "Forbidden", "insufficient quota to match these scopes: [{PriorityClass In [x]}]"
            ),
            "QuotaExceeded",
        ),
        (
            errors.ForbiddenError(
                403,
                "Forbidden",
                'admission webhook "validation.gatekeeper.sh" denied the request: [owner] label wanted',
            ),
            "Rejected",
        ),
        (
            errors.ForbiddenError(
                403,
                "Forbidden",
                'deployments.apps "q" is forbidden: ValidatingAdmissionPolicy "p" with binding "b" denied request: x',
            ),
            "Rejected",
        ),
        *(
            (errors.ForbiddenError(403, "Forbidden", f'{kind} "x" is forbidden: {why}'), reason)
            for kind, why, reason in (
                ("persistentvolumeclaims", "only dynamically provisioned pvc can be resized", "Rejected"),
                ("deployments.apps", "pod template is not signed by the platform", "Rejected"),
                ("services", 'User "a" cannot patch resource "services" in API group ""', "Forbidden"),
                ("deployments.apps", "cannot set blockOwnerDeletion if an ownerReference refers to ...", "Forbidden"),
            )
        ),
        (errors.ForbiddenError(403, "Forbidden", "a proxy says no"), "Forbidden"),
        (errors.InvalidError(400, "BadRequest", 'admission webhook "kyverno" denied the request: x'), "Rejected"),
        (errors.InvalidError(422, "Invalid", "bad"), "Rejected"),
        (
            errors.UnavailableError(500, "InternalError", "failed to create typed patch object (ns/qwen; apps/v1)"),
            "Rejected",
        ),
        (write_failure.NameConflictError(SERVICE, "qwen"), "NameConflict"),
        (errors.ConflictError(409, "Conflict", "x"), "Conflict"),
        (
            errors.UnavailableError(500, "InternalError", "failed to create typed patch object (ns/qwen): duplicate"),
            "Rejected",
        ),
        (errors.UnavailableError(500, "500", "etcdserver: request is too large"), "Rejected"),
        (errors.UnavailableError(0, "TimeoutError", "x"), "ApiUnavailable"),
    ],
)
def test_every_error_has_a_reason(error: errors.ApiError, reason: str) -> None:
    assert write_failure.reason_of(error) == reason


@pytest.mark.parametrize(
    "words",
    [
        "resource Deployment/ns/qwen was blocked due to the policies require-limitrange: no budget",
        "[psp] violates PodSecurity-like rules of team a",
        "replicas must be less than or equal to 3",
        "the namespace is being terminated next week",
        "at most 2 usage per pod",
        "[no-exceeded-quota] label missing",
    ],
)
@pytest.mark.parametrize(
    "who",
    [
        'admission webhook "w" denied the request: ',
        "deployments.apps \"q\" is forbidden: policy 'limitrange' denied request: ",
    ],
)
def test_words_and_names_of_other_peoples_policies_are_no_cause(who: str, words: str) -> None:
    assert write_failure.reason_of(errors.ForbiddenError(403, "Forbidden", who + words)) == "Rejected"
    assert write_failure.pod_refusal(who + words) == "PodCreationRefused"


@pytest.mark.parametrize("who", ["", 'admission webhook "pod-security-webhook.kubernetes.io" denied the request: '])
def test_rules_for_pods_are_kubernetes_own_whoever_enforces_them(who: str) -> None:
    message = f'{who}pods "q" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
    assert write_failure.reason_of(errors.ForbiddenError(403, "Forbidden", message)) == "PodSecurityRejected"
    assert write_failure.pod_refusal(message) == "PodSecurityRejected"


@pytest.mark.parametrize("kind", ["", "hierarchical ", "cluster "])
def test_a_quota_is_one_whoever_counts_it(kind: str) -> None:
    message = (
        f'admission webhook "hnc" denied the request: exceeded {kind}quota in namespace "a": "q", requested: pods=1'
    )
    assert write_failure.pod_refusal(message) == "QuotaExceeded"
