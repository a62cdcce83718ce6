"""A template is rendered once per content of the spec; operators, defaults and nodes change no pod."""

from tests.unit.operator.make import NOW, PAYLOAD, Json, deletions, deployment, observed, planned, resource

from hipbmm_operator.kube import kinds, names
from hipbmm_operator.observe import parse
from hipbmm_operator.plan.plan import Plan
from hipbmm_operator.resources import controller_revision
from hipbmm_operator.resources.pod_template import Payload

NEWER = Payload("registry.example/hipbmm-operator:2", "IfNotPresent")


def stored(plan: Plan, uid: str = "uid-r", **changes: object) -> controller_revision.Revision:
    body = controller_revision.build(resource().meta, plan.revision)
    body["metadata"] |= {"uid": uid, "resourceVersion": "1"}
    found = parse.revision(body | changes, resource().meta)
    assert found is not None
    return found


def test_a_new_operator_keeps_the_template_and_says_that_it_is_outdated() -> None:
    first = planned(resource())
    seen = observed(revisions=(stored(first),))
    again = planned(resource(), seen, payload=NEWER)
    assert again.revision.template == first.revision.template
    assert again.outdated
    assert not planned(resource(), seen).outdated
    assert all(step.kind != kinds.CONTROLLER_REVISION for step in again.steps)


def test_only_content_that_reaches_pods_makes_a_revision() -> None:
    first = planned(resource())
    seen = observed(revisions=(stored(first),))
    same: list[Json] = [
        {"replicas": 5},
        {"suspend": True},
        {"service": {"port": 81}},
        {"rollout": {"strategy": "InPlace"}},
        {"cache": {"pvc": {"size": "9Gi", "retain": False}}},
        {"gpu": {}, "server": {"args": []}},
    ]
    for change in same:
        assert planned(resource(change), seen, payload=NEWER).revision.name == first.revision.name, change
    other: list[Json] = [
        {"image": "vllm:2"},
        {"server": {"port": 9000}},
        {"tuning": {"retuneToken": "2"}},
        {"cache": {"pvc": {"create": False}}},
        {"podTemplate": {"metadata": {"labels": {"a": "b"}}}},
    ]
    for change in other:
        assert planned(resource(change), seen).revision.name != first.revision.name, change


def test_rolling_forward_is_asked_for_by_annotation() -> None:
    first = planned(resource())
    seen = observed(revisions=(stored(first),))
    forward = resource(annotations={names.ANNOTATION_ROLL_FORWARD: "1"})
    assert planned(forward, seen, payload=NEWER).revision.template != first.revision.template
    same = planned(forward, seen)
    assert same.revision.template == first.revision.template
    (step,) = [step for step in same.steps if step.kind == kinds.CONTROLLER_REVISION]
    assert step.mode == "merge"


def test_going_back_uses_the_stored_template_of_then() -> None:
    first, second = planned(resource()), planned(resource({"image": "vllm:2"}))
    one, two = stored(first), stored(second, "uid-2", revision=2)
    back = planned(resource(), observed(revisions=(one, two)), payload=NEWER)
    assert back.revision.template == first.revision.template


def test_a_lost_revision_is_taken_from_the_deployment() -> None:
    first = planned(resource())
    live = deployment(first)
    again = planned(resource(), observed(live=live), payload=NEWER)
    assert again.revision.template == first.revision.template
    assert again.revision.name == first.revision.name
    assert [step.mode for step in again.steps if step.kind == kinds.CONTROLLER_REVISION] == ["create"]


REFERS: Json = {"model": {"name": "m", "configMapRef": {"name": "config"}}}


def test_a_changed_config_map_makes_a_revision_and_the_former_content_goes_back() -> None:
    of = resource(REFERS)
    first = planned(of, observed(config="aaaa"))
    assert first.revision.template["metadata"]["annotations"]["hipbmm.io/config"] == "aaaa"
    seen = (stored(first),)
    same = planned(of, observed(revisions=seen, config="aaaa"))
    assert (same.revision.name, same.outdated) == (first.revision.name, False)
    second = planned(of, observed(revisions=seen, config="bbbb"))
    assert (second.revision.name == first.revision.name, second.outdated) == (False, False)
    rolls = planned(of, observed(revisions=seen, config="bbbb", live=deployment(first)))
    assert rolls.revision.name == second.revision.name
    lost = planned(of, observed(config="aaaa", live=deployment(first)), payload=NEWER)
    assert lost.revision.name == first.revision.name
    both = (*seen, stored(second, "uid-2", revision=2))
    assert planned(of, observed(revisions=both, config="aaaa")).revision.name == first.revision.name
    assert planned(of, observed(revisions=both, config="bbbb"), payload=NEWER).outdated


def test_config_maps_that_cannot_be_read_change_no_pod() -> None:
    of = resource(REFERS)
    first = planned(of, observed(config="aaaa"))
    plan = planned(of, observed(revisions=(stored(first),)))
    assert plan.revision.name == first.revision.name
    assert all(step.kind != kinds.CONTROLLER_REVISION for step in plan.steps)


def test_what_cannot_be_read_changes_no_pod_of_a_former_content_either() -> None:
    of = resource(REFERS)
    first, second = planned(of, observed(config="aaaa")), planned(of, observed(config="bbbb"))
    both = (stored(first), stored(second, "uid-2", revision=2))
    back = observed(revisions=both, live=deployment(first))
    assert planned(of, back).revision.name == first.revision.name


def test_a_config_map_that_is_deleted_changes_no_pod() -> None:
    """No pod would start without it: in place, those that run would go for nothing."""
    of, at = resource(REFERS), (kinds.CONFIG_MAP, "config")
    first = planned(of, observed(config="aaaa", keys={at: ("config.json",)}))
    seen = (stored(first),)
    gone = planned(of, observed(revisions=seen, live=deployment(first), config="0000", keys={at: None}))
    assert gone.revision.name == first.revision.name
    assert all(step.kind != kinds.CONTROLLER_REVISION for step in gone.steps)
    other = planned(of, observed(revisions=seen, config="bbbb", keys={at: ("config.json",)}))
    assert other.revision.name != first.revision.name
    waits = planned(of, observed(config="0000", keys={at: None}))
    comes = planned(of, observed(revisions=(stored(waits),), config="aaaa", keys={at: ("config.json",)}))
    assert comes.revision.name == first.revision.name


def test_what_is_not_there_or_cannot_be_read_brings_back_no_revision_from_before_anybody_read_it() -> None:
    """Nor does an upgrade, where pods run that the loss of a ConfigMap made."""
    of, at = resource(REFERS), (kinds.CONFIG_MAP, "config")
    first, second = planned(of), planned(of, observed(config="bbbb"))
    both = (stored(first), stored(second, "uid-2", revision=2))
    for seen in (
        observed(revisions=both, live=deployment(second)),
        observed(revisions=both, live=deployment(second), config="0000", keys={at: None}),
    ):
        assert planned(of, seen).revision.name == second.revision.name


def test_a_revision_of_a_former_operator_takes_the_content_that_it_finds() -> None:
    """An upgrade restarts nothing; the next change of the ConfigMap does."""
    of = resource(REFERS)
    first = planned(of)
    upgraded = planned(of, observed(revisions=(stored(first),), config="aaaa"))
    assert (upgraded.revision.name, upgraded.outdated) == (first.revision.name, False)
    (step,) = [step for step in upgraded.steps if step.kind == kinds.CONTROLLER_REVISION]
    assert step.mode == "merge"
    after = observed(revisions=(stored(upgraded),), config="bbbb")
    assert planned(of, after).revision.name != first.revision.name
    assert planned(of, observed(revisions=(stored(upgraded),), config="aaaa")).revision.name == first.revision.name


def test_five_revisions_are_kept() -> None:
    revisions = []
    for number in range(1, 9):
        plan = planned(resource({"image": f"vllm:{number}"}))
        revisions.append(stored(plan, f"uid-{number}", revision=number))
    plan = planned(resource({"image": "vllm:8"}), observed(revisions=tuple(revisions)))
    assert sorted(uid for _, _, uid in deletions(plan)) == ["uid-1", "uid-2", "uid-3"]


def test_orphans_that_stay_get_their_owner_back() -> None:
    """Of `kubectl delete --cascade=orphan`: they are used by the next resource of the name, and go with it."""
    old, new = planned(resource()), planned(resource({"image": "vllm:2"}))
    orphans = []
    for number, plan in enumerate((old, new), 1):
        body = controller_revision.build(resource().meta, plan.revision)
        body["metadata"] |= {"uid": f"uid-{number}", "resourceVersion": "1", "ownerReferences": []}
        found = parse.revision(body | {"revision": number}, resource().meta)
        assert found is not None
        orphans.append(found)
    plan = planned(resource({"image": "vllm:2"}), observed(revisions=tuple(orphans)), payload=NEWER)
    assert plan.revision.template == new.revision.template
    steps = [step for step in plan.steps if step.kind == kinds.CONTROLLER_REVISION]
    assert [(step.mode, step.body["metadata"]["uid"]) for step in steps] == [("merge", "uid-1"), ("merge", "uid-2")]
    assert all(step.body["metadata"]["ownerReferences"][0]["uid"] == "uid-1" for step in steps)


def test_numbers_grow() -> None:
    one = stored(planned(resource()), revision=7)
    assert planned(resource({"image": "vllm:2"}), observed(revisions=(one,))).revision.number == 8


def test_the_pods_of_a_revision_carry_its_name() -> None:
    plan = planned(resource())
    annotations = plan.revision.template["metadata"]["annotations"]
    assert annotations[names.ANNOTATION_REVISION] == plan.revision.name


def test_planning_is_a_function() -> None:
    assert planned(resource(), now=NOW, payload=PAYLOAD) == planned(resource(), now=NOW, payload=PAYLOAD)
