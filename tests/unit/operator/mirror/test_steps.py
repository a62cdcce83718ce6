"""Where rows live, what is written for a mirror, and when the first rollout goes on."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.operator.make import NOW, deletions, observed, planned, pod, report, resource, typed
from tests.unit.operator.mirror_objects import Json, content, kept, line, shard

from hipbmm_operator.api.spec import Cache
from hipbmm_operator.kube import kinds, names
from hipbmm_operator.mirror import state as seen
from hipbmm_operator.mirror import steps
from hipbmm_operator.mirror.content import Content
from hipbmm_operator.mirror.state import MirrorMap, MirrorState
from hipbmm_operator.observe import parse
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.plan import rollout
from hipbmm_operator.resources.placement import choose

ONE, TWO = shard(line(1)), shard(line(2))
OWNER = resource().meta
NONE: Json = {"create": False}
RWO: Json = {"accessModes": ["ReadWriteOnce"]}


def claim(phase: str = "Bound", *modes: str, ours: bool = True) -> Json:
    metadata: Json = {"name": "qwen-store", "uid": "uid-c", "resourceVersion": "3"}
    if ours:
        metadata |= {
            "labels": {names.LABEL_MANAGED_BY: names.FIELD_MANAGER},
            "annotations": {names.ANNOTATION_DEPLOYMENT: "qwen"},
        }
    return {"metadata": metadata, "spec": {"accessModes": list(modes)}, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("cache", "live", "mounted", "mirrored"),
    [
        ({}, None, "qwen-store", False),
        ({"mirror": "Always"}, None, "qwen-store", True),
        ({"pvc": NONE}, None, None, True),
        ({"pvc": NONE, "mirror": "Never"}, None, None, False),
        ({"pvc": RWO}, None, None, True),
        ({"pvc": {"accessModes": ["ReadWriteOncePod"]}}, None, None, True),
        ({"pvc": {"accessModes": ["ReadWriteOnce", "ReadWriteMany"]}}, None, "qwen-store", False),
        ({"pvc": RWO, "mirror": "Always"}, None, "qwen-store", True),
        ({"pvc": RWO, "mirror": "Never"}, None, "qwen-store", False),
        ({}, claim("Bound", "ReadWriteOnce"), None, True),
        ({}, claim("Pending", "ReadWriteOnce"), "qwen-store", False),
        ({"pvc": RWO}, claim("Pending", "ReadWriteMany"), None, True),
        ({"pvc": {"claimName": "theirs", "create": False}}, None, "theirs", False),
        ({"pvc": {"claimName": "theirs", "create": False}}, claim("Pending", "ReadWriteOnce", ours=False), None, True),
        ({"pvc": {"claimName": "theirs"}}, claim("Bound", "ReadWriteMany", ours=False), "theirs", False),
    ],
)
def test_where_rows_live(cache: Json, live: Json | None, mounted: str | None, mirrored: bool) -> None:
    place = choose("qwen", Cache.model_validate(cache), parse.claim(live) if live else None)
    assert (place.claim, place.mirror) == (mounted, mirrored)


def test_the_pods_of_a_mirror_read_it_by_a_name_that_never_changes() -> None:
    spec = resource({"cache": {"pvc": RWO}})
    empty, full = planned(spec), planned(spec, observed(mirror=MirrorState(content=content(ONE))))
    assert empty.revision.template == full.revision.template
    volumes = {volume["name"]: volume for volume in full.revision.template["spec"]["volumes"]}
    assert volumes["mirror"]["configMap"] == {"name": "qwen-mirror", "optional": True}
    assert volumes["store"] == {"name": "store", "emptyDir": {}}
    warm = full.revision.template["spec"]["initContainers"][1]
    assert {"name": "mirror", "mountPath": "/hipbmm/mirror", "readOnly": True} in warm["volumeMounts"]
    assert {"name": "HIPBMM_MIRROR_LOG", "value": "1"} in warm["env"]
    assert "mirror" not in str(planned(resource()).revision.template).lower()


def test_a_volume_that_pods_cannot_share_is_neither_made_nor_kept_waiting() -> None:
    spec = resource({"cache": {"pvc": RWO}})
    assert not [step for step in planned(spec).steps if step.kind == kinds.CLAIM]
    gone = deletions(planned(spec, observed(claim=claim("Pending", "ReadWriteMany"))))
    assert gone == [(kinds.CLAIM, "qwen-store", "uid-c")]
    assert deletions(planned(spec, observed(claim=claim("Bound", "ReadWriteOnce")))) == []
    assert deletions(planned(spec, observed(claim=claim("Pending", "ReadWriteMany", ours=False)))) == []


def test_access_modes_change_pods_only_when_they_stop_being_shared() -> None:
    def revision(*modes: str) -> str:
        return planned(resource({"cache": {"pvc": {"accessModes": list(modes)}}})).revision.contents[0]

    assert revision("ReadWriteMany") == planned(resource({"cache": {"pvc": {"size": "2Gi"}}})).revision.contents[0]
    assert revision("ReadWriteMany", "ReadWriteOnce") == revision("ReadWriteMany") != revision("ReadWriteOnce")


def mounted(of: Content, **changes: object) -> MirrorMap:
    return parse.mirror_map(kept(steps.build(OWNER, of, ["a"]), "uid-mounted", changes))


def archive(of: Content) -> MirrorMap:
    return parse.mirror_map(kept(steps.build_archive(OWNER, of, ["a"]), f"uid-{of.digest[:4]}"))


def writes(state: MirrorState, *, wanted: bool = True) -> list[tuple[str, str]]:
    return [(step.mode, step.body["metadata"]["name"]) for step in steps.steps(OWNER, state, wanted=wanted)]


def test_the_first_rows_make_both_config_maps_and_then_nothing_is_written() -> None:
    of = content(ONE)
    copy = f"qwen-mirror-{of.digest[:10]}"
    assert writes(MirrorState(content=of)) == [("create", copy), ("create", "qwen-mirror")]
    assert writes(MirrorState(mounted=mounted(of), archives=(archive(of),))) == []
    made = steps.steps(OWNER, MirrorState(content=of, taken=frozenset({"b", "a"})), wanted=True)
    assert made[0].body["immutable"] is True
    assert "immutable" not in made[1].body
    for step in made:
        assert step.body["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
        assert step.body["metadata"]["annotations"][names.ANNOTATION_TAKEN] == "a,b"


def test_new_rows_replace_the_mounted_content_and_the_former_copy_goes_after_it() -> None:
    old, new = content(ONE), content(ONE, TWO)
    copy = f"qwen-mirror-{new.digest[:10]}"
    state = MirrorState(mounted=mounted(old), archives=(archive(old),), content=new)
    assert writes(state) == [("create", copy), ("merge", "qwen-mirror")]
    after = MirrorState(mounted=mounted(new), archives=(archive(old), archive(new)))
    assert writes(after) == [("delete", f"qwen-mirror-{old.digest[:10]}")]


def test_what_somebody_put_into_the_mounted_one_is_taken_out_again() -> None:
    of = content(ONE)
    changed = mounted(of, keys=[f"{ONE.name}.gz", "theirs"], extra=["plain"], digest="0" * 64)
    assert seen.drifted("qwen", changed, archive(of))
    (step,) = steps.steps(OWNER, MirrorState(mounted=changed, archives=(archive(of),), content=of), wanted=True)
    assert (step.mode, step.body["metadata"]["uid"]) == ("merge", "uid-mounted")
    assert step.body["binaryData"] == {"theirs": None, **of.binary()}
    assert step.body["data"] is None


def test_an_orphaned_mirror_and_its_copy_get_their_owner_back() -> None:
    of = content(ONE)
    orphans = [replace(each, meta=replace(each.meta, owners=())) for each in (mounted(of), archive(of))]
    assert seen.drifted("qwen", mounted(of), orphans[1])
    assert seen.drifted("qwen", orphans[0], archive(of))
    made = steps.steps(OWNER, MirrorState(orphans[0], (orphans[1],), content=of), wanted=True)
    assert [(step.mode, step.body["metadata"]["uid"]) for step in made] == [
        ("merge", orphans[1].meta.uid),
        ("merge", "uid-mounted"),
    ]
    assert all(step.body["metadata"]["ownerReferences"][0]["uid"] == "uid-1" for step in made)


def test_a_sealed_mirror_is_replaced() -> None:
    of = content(ONE)
    sealed = mounted(of, immutable=True)
    made = steps.steps(OWNER, MirrorState(mounted=sealed, archives=(archive(of),), content=content(TWO)), wanted=True)
    assert [step.mode for step in made] == ["create", "delete"]
    assert made[1].body["metadata"] == {"name": "qwen-mirror", "uid": "uid-mounted", "resourceVersion": "9"}


def test_a_mirror_that_is_not_wanted_any_more_goes() -> None:
    of = content(ONE)
    state = MirrorState(mounted=mounted(of), archives=(archive(of),), content=of)
    assert writes(state, wanted=False) == [("delete", f"qwen-mirror-{of.digest[:10]}"), ("delete", "qwen-mirror")]


def test_what_has_drifted() -> None:
    of, other = content(ONE), content(TWO)
    assert not seen.drifted("qwen", None, None)
    assert not seen.drifted("qwen", mounted(of), archive(of))
    assert seen.drifted("qwen", None, archive(of))
    assert seen.drifted("qwen", mounted(of), None)
    assert seen.drifted("qwen", mounted(of), archive(other))
    assert seen.current(mounted(of), [archive(other), archive(of)]) == archive(of)
    assert seen.current(None, [archive(other)]) == archive(other)


def test_the_first_rollout_waits_for_the_rows_to_be_in_the_mirror() -> None:
    spec = typed(resource({"replicas": 3}))
    warmed = parse.pod(pod(answer=report(mirror={"shards": [ONE.name], "lines": 1})))
    waiting = Observed(pods=(warmed,), mirror=MirrorState(on_their_way=frozenset({warmed.uid})))
    assert rollout.replicas(spec, waiting) == 1
    assert rollout.replicas(spec, replace(waiting, mirror=MirrorState())) == 3


def test_it_waits_for_a_limited_time() -> None:
    told = report(mirror={"shards": [ONE.name], "lines": 1})
    warmed = parse.pod(pod(answer=told))
    assert seen.missing(warmed, frozenset()) == {ONE.name}
    assert seen.missing(warmed, frozenset({ONE.name})) == frozenset()
    assert seen.in_time(warmed, NOW + seen.GRACE - timedelta(seconds=1))
    assert not seen.in_time(warmed, NOW + seen.GRACE)
    assert seen.in_time(parse.pod(pod(warm={"state": {"running": {}}})), NOW)
