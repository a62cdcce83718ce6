"""TODO: what hipbmm_operator.watch.packed is."""

import zlib
from collections.abc import Mapping
from typing import Any

from hipbmm_operator.kube import json_text
from hipbmm_operator.kube.json_text import Json

_LEVEL = 1


_WORTH = 2048
"""Bytes from which compressing saves more than it costs."""


class Packed:
    """One pruned object, compressed: a pod template shrinks to a tenth.

    The spec is kept apart from the rest: while its generation is the same, a new status does not pack it again.
    The resourceVersion is kept aside, so that two states that differ in nothing else are equal byte by byte.
    """

    __slots__ = ("generation", "name", "namespace", "resource_version", "rest", "spec", "uid")

    def __init__(self, body: Mapping[str, Any], before: "Packed | None" = None) -> None:
        metadata = body.get("metadata", {})
        self.namespace = str(metadata.get("namespace", ""))
        self.name = str(metadata.get("name", ""))
        self.uid = str(metadata.get("uid", ""))
        self.resource_version = str(metadata.get("resourceVersion", ""))
        self.generation = metadata.get("generation")
        rest = {key: value for key, value in body.items() if key not in ("spec", "data")}
        rest["metadata"] = {key: value for key, value in metadata.items() if key != "resourceVersion"}
        self.rest = _pack(rest)
        self.spec: bytes
        if before is not None and before.uid == self.uid and self.generation and before.generation == self.generation:
            self.spec = before.spec
        else:
            self.spec = _pack({key: body[key] for key in ("spec", "data") if key in body})

    def body(self) -> Json:
        """The object as a dictionary of its own."""
        answer = {**_unpack(self.rest), **_unpack(self.spec)}
        answer["metadata"]["resourceVersion"] = self.resource_version
        return answer

    def same(self, other: "Packed | None") -> bool:
        """Whether nothing that is kept differs, except the resourceVersion."""
        if other is None:
            return False
        return (self.uid, self.rest, self.spec) == (other.uid, other.rest, other.spec)

    def same_but_status(self, other: "Packed") -> bool:
        """The same for an object whose status we write ourselves."""
        one, two = self.body(), other.body()
        for body in (one, two):
            body.pop("status", None)
            body["metadata"].pop("resourceVersion")
        return one == two


def _pack(value: object) -> bytes:
    text = json_text.dumps(value)
    return text if len(text) < _WORTH else zlib.compress(text, _LEVEL)


def _unpack(data: bytes) -> Json:
    answer: Json = json_text.loads(data if data[:1] == b"{" else zlib.decompress(data))
    return answer
