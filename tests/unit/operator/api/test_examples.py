"""The examples are resources as the operator understands them in full."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.operator.make import planned

from hipbmm_operator.api.resource import parse, parse_spec
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.plan import validation
from hipbmm_operator.resources import server_args

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[4]
EXAMPLES = [
    pytest.param(body, id=f"{path.stem}-{body['metadata']['name']}")
    for path in sorted((ROOT / "examples").glob("*.yaml"))
    for body in yaml.safe_load_all(path.read_text())
    if body["kind"] == "HipbmmDeployment"
]


@pytest.mark.parametrize("body", EXAMPLES)
def test_an_example_has_no_problem(body: Json) -> None:
    body["metadata"] |= {"namespace": "models", "uid": "uid-1"}
    resource = parse(body)
    spec = parse_spec(Spec, resource.raw_spec)
    assert not isinstance(spec, str), spec
    assert validation.check(spec, server_args.resolve(spec)) == []
    assert list(validation.unread(resource.raw_spec, spec)) == []
    assert planned(resource).steps
