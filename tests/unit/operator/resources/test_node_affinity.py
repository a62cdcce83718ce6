"""Pods read the kinds of label that the cluster's nodes show; a template, once rendered, stays as it is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.unit.operator.detect.nodes import expand, node
from tests.unit.operator.make import Json, deployment, observed, planned, resource, typed

from hipbmm_operator.api.status import NodeCount
from hipbmm_operator.detect.affinity import EVERY_KIND, LabelKind, kinds_to_read, selects
from hipbmm_operator.detect.node_fit import HardwareSummary
from hipbmm_operator.kube import names
from hipbmm_operator.observe import parse
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.plan.plan import Plan
from hipbmm_operator.resources import circumstances, controller_revision
from hipbmm_operator.resources.circumstances import Circumstances
from hipbmm_operator.watch.node_cache import NodeCache

OWNER = resource().meta
LABELLED = {"A:device-id": "74a1", "A:cu-count": "304"}
BY_NFD = {"F:pci-1200_1002_74a1.present": "true"}
BY_NAME = {"A:product-name": "AMD_Instinct_MI300X_OAM"}
BY_HAND = {"hipbmm.io/gpu-product": "MI300X"}


def cluster(*labels: Json) -> NodeCache:
    book = NodeCache()
    for number, of_node in enumerate(labels):
        book.put(node(of_node, {"amd.com/gpu": "8"}, name=f"n{number}"), 0)
    return book


def now(book: NodeCache) -> Circumstances:
    return Circumstances(kinds_to_read(book.shown()))


def terms(plan: Plan) -> list[Json]:
    affinity = plan.revision.template["spec"]["affinity"]["nodeAffinity"]
    found: list[Json] = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return found


def chosen(plan: Plan, *labels: Json) -> list[bool]:
    return [selects(terms(plan), expand(of_node)) for of_node in labels]


def fit(book: NodeCache, plan: Plan) -> HardwareSummary:
    found = book.summary(typed(resource()), [], 1, circumstances.of(plan.revision.template).kinds)
    assert found
    return found


def seen(book: NodeCache, *before: Plan) -> Observed:
    stored = [parse.revision(controller_revision.build(OWNER, plan.revision), OWNER) for plan in before]
    live = deployment(before[-1]) if before else None
    return replace(
        observed(live=live, revisions=tuple(filter(None, stored))),
        circumstances=now(book),
    )


def test_a_cluster_of_one_kind_has_short_terms() -> None:
    book = cluster(LABELLED, LABELLED, {})
    plan = planned(resource(), seen(book))
    assert circumstances.of(plan.revision.template).kinds == {LabelKind.OVERRIDE, LabelKind.LABELLER}
    assert chosen(plan, LABELLED, BY_HAND, BY_NFD, {}) == [True, True, False, False]
    assert fit(book, plan).status.nodes == 2


def test_a_mixed_cluster_is_read_by_each_kind_that_it_shows() -> None:
    book = cluster(LABELLED, BY_NFD, BY_NAME)
    plan = planned(resource(), seen(book))
    assert chosen(plan, LABELLED, BY_NFD, BY_NAME, BY_HAND) == [True] * 4
    assert chosen(plan, {"F:pci-1002_74a1.present": "true"}) == [False]
    assert (fit(book, plan).status.nodes, fit(book, plan).status.reasons) == (3, [])


@pytest.mark.parametrize("nodes", [[], [{}], [{"A:device-id": "740f"}]], ids=["none", "no GPU", "MI210"])
def test_a_cluster_that_shows_no_product_is_read_by_every_kind(nodes: list[Json]) -> None:
    plan = planned(resource(), seen(cluster(*nodes)))
    assert circumstances.of(plan.revision.template).kinds == EVERY_KIND
    assert chosen(plan, LABELLED, BY_NFD, BY_NAME, BY_HAND) == [True] * 4


def test_a_node_that_comes_later_with_another_kind_is_reported_and_restarts_nothing() -> None:
    book = cluster(LABELLED)
    before = planned(resource(), seen(book))
    book.put(node(BY_NFD, {"amd.com/gpu": "8"}, name="later"), 1)
    after = planned(resource(), seen(book, before))
    assert (after.revision.template, after.outdated) == (before.revision.template, False)
    assert all(step.kind.kind != "ControllerRevision" for step in after.steps)
    hardware = fit(book, after)
    assert (hardware.status.nodes, hardware.status.reasons) == (1, [NodeCount(reason="LabelsMissing", nodes=1)])
    assert "1 LabelsMissing (label them hipbmm.io/gpu-product, or roll the pods forward)" in hardware.finding.message

    book.put(node({**BY_NFD, **BY_HAND}, {"amd.com/gpu": "8"}, name="later"), 2)
    assert fit(book, after).status.nodes == 2, "the first remedy"

    book.put(node(BY_NFD, {"amd.com/gpu": "8"}, name="later"), 3)
    asked = resource(annotations={names.ANNOTATION_ROLL_FORWARD: "1"})
    forward = planned(asked, seen(book, before))
    assert fit(book, forward).status.nodes == 2, "the second remedy"
    assert chosen(forward, LABELLED, BY_NFD) == [True, True]


def test_nodes_that_go_change_nothing() -> None:
    book = cluster(LABELLED, BY_NFD)
    before = planned(resource(), seen(book))
    for name in ("n0", "n1"):
        book.remove(name)
        after = planned(resource(), seen(book, before))
        assert (after.revision.template, after.outdated) == (before.revision.template, False)


def test_a_template_of_a_former_operator_reads_every_kind_and_stays() -> None:
    book = cluster(LABELLED)
    before = planned(resource())
    body = controller_revision.build(OWNER, before.revision)
    body["data"]["template"]["spec"]["terminationGracePeriodSeconds"] = 59
    body["metadata"]["name"] = "qwen-former"
    former = parse.revision(body, OWNER)
    assert former
    after = planned(resource(), Observed(revisions=(former,), circumstances=now(book)))
    assert (after.revision.template, after.outdated) == (former.template, True)
    assert circumstances.of(after.revision.template).kinds == EVERY_KIND


def test_a_lost_revision_keeps_its_kinds() -> None:
    book = cluster(LABELLED)
    before = planned(resource(), seen(book))
    book.put(node(BY_NFD, {"amd.com/gpu": "8"}, name="later"), 1)
    after = planned(resource(), replace(observed(live=deployment(before)), circumstances=now(book)))
    assert (after.revision.name, after.outdated) == (before.revision.name, False)
    assert after.revision.template == before.revision.template


def test_the_terms_of_the_user_are_kept_beside_ours() -> None:
    required = [{"matchExpressions": [{"key": "rack", "operator": "In", "values": [rack]}]} for rack in ("a", "b")]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": required}}}
    plan = planned(resource({"podTemplate": {"spec": {"affinity": affinity}}}), seen(cluster(LABELLED)))
    assert chosen(plan, {**LABELLED, "rack": "a"}, {**LABELLED, "rack": "c"}, LABELLED, {"rack": "a"}) == [
        True,
        False,
        False,
        False,
    ]
    assert len(terms(plan)) == 2 * len(terms(planned(resource(), seen(cluster(LABELLED)))))


@pytest.mark.parametrize("empty", [{}, {"matchExpressions": []}, {"matchExpressions": [], "matchFields": []}])
def test_a_term_of_the_user_that_chooses_no_node_chooses_none(empty: Json) -> None:
    def terms_of(*required: Json) -> list[Json]:
        affinity = {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [*required]}}
        }
        return terms(planned(resource({"podTemplate": {"spec": {"affinity": affinity}}}), seen(cluster(LABELLED))))

    rack = {"matchExpressions": [{"key": "rack", "operator": "In", "values": ["a"]}]}
    assert terms_of(rack, empty) == terms_of(rack)
    assert terms_of(empty) == [{}]


def test_the_smallest_example_has_a_small_template() -> None:
    example = yaml.safe_load((Path(__file__).parents[4] / "examples" / "minimal.yaml").read_text())
    for labels in (LABELLED, {**LABELLED, "node.kubernetes.io/instance-type": "Standard_ND96isr_MI300X_v5"}):
        plan = planned(resource(example["spec"]), seen(cluster(labels)))
        assert len(json.dumps(plan.revision.template)) <= 8_000
