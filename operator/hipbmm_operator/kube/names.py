"""Names, labels and annotations of everything the operator makes. Deterministic: the same CR gives the same names."""

import hashlib
import re

GROUP = "hipbmm.io"

FIELD_MANAGER = "hipbmm-operator"
"""The one field manager of server-side apply."""

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_INSTANCE = "app.kubernetes.io/instance"
"""By which Argo CD knows what belongs to an application, and deletes what is not in its source."""
LABEL_DEPLOYMENT = f"{GROUP}/deployment"
"""On each child and pod: the CR's name, shortened with a hash when it is no label value."""

ANNOTATION_DEPLOYMENT = f"{GROUP}/deployment"
"""On each child and pod: the CR's full name."""
ANNOTATION_INTENT = f"{GROUP}/intent"
"""On each applied child: hash of what was applied, so that a restarted operator repeats nothing."""
ANNOTATION_REVISION = f"{GROUP}/revision"
"""On each pod and the Deployment: name of the ControllerRevision whose template it has."""
ANNOTATION_CONTENT = f"{GROUP}/content"
"""On ControllerRevisions and the Deployment: hashes of the spec contents that the template was rendered for."""
ANNOTATION_LABEL_KINDS = f"{GROUP}/label-kinds"
"""On pod templates: the kinds of node label that their affinity reads; without it, every kind."""
ANNOTATION_GIVEN = f"{GROUP}/given-variables"
"""On pod templates: variables of caches that `envFrom` gave the server when they were rendered; without it, none."""
ANNOTATION_NAMESPACE_RULES = f"{GROUP}/namespace-rules"
"""On pod templates: what the namespace asked of pods when they were rendered; without it, nothing."""
ANNOTATION_CONFIG = f"{GROUP}/config"
"""On each pod of a resource that refers to ConfigMaps: digest of what was in them when its template was rendered."""
ANNOTATION_RELEASED = f"{GROUP}/released"
"""On the Deployment: the first rollout is no longer held at one replica."""
ANNOTATION_ROLL_FORWARD = f"{GROUP}/roll-forward"
"""On the CR, by a person: any new value renders a new revision with the operator's current template."""
ANNOTATION_DIGEST = f"{GROUP}/digest"
"""On a ConfigMap of a mirror: digest of the content that was written into it."""
ANNOTATION_MONITORED = f"{GROUP}/monitored"
"""On the Service: there is a ServiceMonitor. It is not watched, and so found when it is not wanted any more."""
ANNOTATION_TAKEN = f"{GROUP}/taken"
"""On a ConfigMap of a mirror: shards of running pods that were taken over, so that their logs are not read again."""

MANAGED_SELECTOR = f"{LABEL_MANAGED_BY}={FIELD_MANAGER}"
"""Server-side label selector of all children and pods."""

MAX_LABEL = 63
_DNS_LABEL = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_HASH_LENGTH = 8


def short_hash(text: str, length: int = _HASH_LENGTH) -> str:
    """First `length` hex digits of the SHA-256 of `text`."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def child(name: str, role: str = "") -> str:
    """Name of a child: `<name>[-<role>]` when that is a DNS label (RFC 1035), else a shortened form with a hash.

    Two CRs never get the same child name: the hash covers the whole name.
    """
    suffix = f"-{role}" if role else ""
    plain = name + suffix
    if len(plain) <= MAX_LABEL and _DNS_LABEL.match(plain):
        return plain
    digest = short_hash(name)
    stem = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")
    if not stem[:1].isalpha():
        stem = f"h-{stem}"
    room = MAX_LABEL - len(suffix) - len(digest) - 1
    return f"{stem[:room].rstrip('-')}-{digest}{suffix}"


def label_value(name: str) -> str:
    """The CR's name as a label value (at most 63 characters)."""
    return name if len(name) <= MAX_LABEL else f"{name[: MAX_LABEL - _HASH_LENGTH - 1].rstrip('-.')}-{short_hash(name)}"


def selector_labels(name: str) -> dict[str, str]:
    """Immutable labels that select the pods of one CR."""
    return {LABEL_DEPLOYMENT: label_value(name), "app.kubernetes.io/component": "server"}


def labels(name: str) -> dict[str, str]:
    """Labels of every child and pod."""
    return {
        **selector_labels(name),
        "app.kubernetes.io/name": "vllm",
        LABEL_INSTANCE: label_value(name),
        "app.kubernetes.io/part-of": "hipbmm",
        LABEL_MANAGED_BY: FIELD_MANAGER,
    }


def mirror(owner_name: str) -> str:
    """Name of the ConfigMap that pods mount."""
    return child(owner_name, "mirror")
