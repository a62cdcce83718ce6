"""From a resource in a file to its children as YAML that a person can read.

A case is a directory with `resource.yaml`: the resource, and after `---` the resource as it was before, whose children
are there. What is the same in several places is shown once: a Deployment's template is that of its revision, and the
terms of the node affinity of all cases are in `affinity.yaml`.
"""

import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from hipbmm_operator.api.resource import Resource, parse
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.detect.affinity import LabelKind, kinds_to_read
from hipbmm_operator.kube import kinds
from hipbmm_operator.observe import parse as parsed
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.plan.plan import Plan, plan
from hipbmm_operator.resources import server_args
from hipbmm_operator.resources.circumstances import Circumstances
from hipbmm_operator.resources.pod_template import Payload

Json = dict[str, Any]
HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/resource.yaml"))
AFFINITY = HERE / "affinity.yaml"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
LABELLED = Circumstances(kinds_to_read({LabelKind.LABELLER}))
"""What the nodes of a cluster with AMD's labeller show."""


def children(case: Path) -> str:
    """What is written for the resource of a case, in this order, and what is deleted."""
    planned = _planned(case)
    bodies = [_once(step.body, planned, case.name) for step in planned.steps if step.mode != "delete"]
    deleted = [f"{step.kind.kind}/{step.body['metadata']['name']}" for step in planned.steps if step.mode == "delete"]
    return _text([*bodies, *([{"deleted": deleted}] if deleted else [])])


def affinity() -> str:
    """The terms of the node affinity, by case."""
    return _text([{case.name: _terms(_planned(case).revision.template) for case in CASES}])


def _planned(case: Path) -> Plan:
    now, *before = [parse(body) for body in yaml.safe_load_all((case / "resource.yaml").read_text())]
    observed = Observed(circumstances=LABELLED)
    for resource in before:
        observed = _made(resource, _plan(resource, observed))
    return _plan(now, observed)


def _plan(resource: Resource, observed: Observed) -> Plan:
    spec = Spec.model_validate(resource.raw_spec)
    payload = Payload("registry.example/hipbmm-operator:1", "IfNotPresent")
    return plan(resource, spec, server_args.resolve(spec), observed, payload, NOW)


def _made(resource: Resource, planned: Plan) -> Observed:
    """The cluster after these writes."""
    live = {step.kind: _stored(step.body) for step in planned.steps if step.mode != "delete"}
    revision = parsed.revision(live[kinds.CONTROLLER_REVISION], resource.meta)
    assert revision
    return Observed(
        deployment=parsed.deployment(live[kinds.DEPLOYMENT]),
        service=parsed.child(live[kinds.SERVICE]),
        budget=parsed.child(live[kinds.BUDGET]) if kinds.BUDGET in live else None,
        revisions=(revision,),
        circumstances=LABELLED,
    )


def _stored(body: Json) -> Json:
    stored = copy.deepcopy(body)
    stored["metadata"] |= {"uid": f"uid-{body['kind']}", "resourceVersion": "1"}
    return stored


def _once(body: Json, planned: Plan, case: str) -> Json:
    """The body with a word in place of what is shown elsewhere."""
    shown = copy.deepcopy(body)
    if body["kind"] == "Deployment":
        assert shown["spec"]["template"] == planned.revision.template
        shown["spec"]["template"] = f"the template of {planned.revision.name}"
    if body["kind"] == "ControllerRevision" and "data" in shown:
        _node(shown["data"]["template"])["nodeSelectorTerms"] = f"those of {case} in ../affinity.yaml"
    return shown


def _terms(template: Mapping[str, Any]) -> list[Json]:
    return list(_node(template)["nodeSelectorTerms"])


def _node(template: Mapping[str, Any]) -> Json:
    node: Json = template["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return node


def _text(documents: list[Any]) -> str:
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=118)


class _Dumper(yaml.SafeDumper):
    """No anchors: each part is written out where it is used. Lists of plain values take one line."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # signature of yaml
        return True


def _sequence(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    plain = not any(isinstance(value, dict | list) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=plain)


_Dumper.add_representer(list, _sequence)
