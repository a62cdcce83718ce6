"""Whose an object is, from its metadata, which anybody may have written."""

from typing import Any

import pytest

from hipbmm_operator.kube import names
from hipbmm_operator.kube.metadata import Metadata, parse

Json = dict[str, Any]
OWNER = Metadata(namespace="ns", name="qwen", uid="uid-1")
OURS: Json = {
    "labels": {names.LABEL_MANAGED_BY: names.FIELD_MANAGER},
    "annotations": {names.ANNOTATION_DEPLOYMENT: "qwen"},
}


def of(*uids: str, **metadata: Any) -> Metadata:  # noqa: ANN401  # any JSON
    return parse({"metadata": {"ownerReferences": [{"uid": uid} for uid in uids], **metadata}})


@pytest.mark.parametrize(
    ("meta", "writable"),
    [
        (of("uid-1"), True),
        (of("uid-1", **OURS), True),
        (of("uid-0", "uid-1"), True),
        (of(**OURS), True),  # orphaned: `kubectl delete --cascade=orphan`, or a retained claim
        (of("uid-0", **OURS), False),  # of a resource of the same name that was deleted
        (of(), False),
        (of(labels=OURS["labels"]), False),
        (of(annotations=OURS["annotations"]), False),
        (of(**OURS | {"annotations": {names.ANNOTATION_DEPLOYMENT: "other"}}), False),
    ],
)
def test_only_a_child_or_an_orphan_of_the_same_name_is_written(meta: Metadata, writable: bool) -> None:
    assert meta.writable_for(OWNER) is writable


@pytest.mark.parametrize("value", [None, 7, "text", [], {}])
def test_a_field_of_another_type_counts_as_absent(value: object) -> None:
    fields = ("generation", "creationTimestamp", "deletionTimestamp", "labels", "annotations", "ownerReferences")
    for field in fields:
        meta = parse({"metadata": {"name": "qwen", field: value}})
        assert meta.name == "qwen"
        assert isinstance(meta.generation, int)
        assert (meta.created, dict(meta.labels), dict(meta.annotations), meta.owners) == (None, {}, {}, ())
    assert parse({"metadata": value}).owners == ()
