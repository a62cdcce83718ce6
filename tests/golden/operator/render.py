"""From a resource in a file to its children as YAML."""

from datetime import UTC, datetime
from pathlib import Path

import yaml

from hipbmm_operator.api.resource import parse
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.detect import LabelKind
from hipbmm_operator.observe.observed import Observed
from hipbmm_operator.plan.plan import plan
from hipbmm_operator.resources import server_args
from hipbmm_operator.resources.pod_template import Payload

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/resource.yaml"))


def children(case: Path) -> str:
    """All children of the resource in a case's directory, in the order in which they are written."""
    resource = parse(yaml.safe_load((case / "resource.yaml").read_text()))
    spec = Spec.model_validate(resource.raw_spec)
    payload = Payload("registry.example/hipbmm-operator:1", "IfNotPresent")
    observed = Observed(label_kinds=frozenset({LabelKind.LABELLER}))
    made = plan(resource, spec, server_args.resolve(spec), observed, payload, datetime(2026, 11, 23, tzinfo=UTC))
    bodies = [step.body for step in made.steps]
    return yaml.dump_all(bodies, Dumper=_Dumper, sort_keys=False, width=118)


class _Dumper(yaml.SafeDumper):
    """No anchors: each part is read where it stands."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # signature of yaml
        return True
