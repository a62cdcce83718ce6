"""What in a Node can change its Detection, in 32 characters, so that heartbeats cost nothing.

A kubelet rewrites its Node every few seconds to minutes (conditions' times, images, addresses); none of that is in the
fingerprint.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from hipbmm_operator.detect.sources.facts import is_ready, relevant_labels
from hipbmm_operator.detect.sources.keys import RESOURCE_PREFIX
from hipbmm_operator.detect.sources.values import mapping, sequence, text, truth


def fingerprint(node: Mapping[str, Any]) -> str:
    """Equal for two states of a Node when labels, taints, cordon, readiness and ``amd.com`` resources are equal."""
    metadata = mapping(node.get("metadata"))
    spec = mapping(node.get("spec"))
    status = mapping(node.get("status"))
    labels = sorted(relevant_labels(node).items())
    taints = [
        (text(taint.get("key")), text(taint.get("value")), text(taint.get("effect")))
        for taint in map(mapping, sequence(spec.get("taints")))
    ]
    taints.sort()
    parts = (
        labels,
        taints,
        truth(spec.get("unschedulable")),
        bool(metadata.get("deletionTimestamp")),
        is_ready(status),
        _resources(status.get("capacity")),
        _resources(status.get("allocatable")),
    )
    # repr() of nested lists of text is unambiguous: quotes and separators inside a value are escaped.
    return blake2b(repr(parts).encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def _resources(listed: object) -> list[tuple[str, str]]:
    return sorted(
        (key, text(value))
        for key, value in mapping(listed).items()
        if type(key) is str and key.startswith(RESOURCE_PREFIX)
    )
