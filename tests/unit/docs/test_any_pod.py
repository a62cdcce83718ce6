"""docs/any-pod/: what a page says of a stack is what admission does to its pod, and the page's YAML asks for it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
import yaml
from tests import stacks

from hipbmm_kernel.argv import command
from hipbmm_kernel.argv.command import Server
from hipbmm_operator.api.profile import ProfileSpec
from hipbmm_operator.injection import patch, spelling

Json = dict[str, Any]
DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGES = {
    "aibrix": ("aibrix",),
    "deployment": ("deployment", "deployment-args", "statefulset"),
    "dynamo": ("dynamo",),
    "kserve": ("kserve", "kserve-llm"),
    "kubeai": ("kubeai",),
    "kuberay": ("kuberay-head", "kuberay-worker"),
    "leaderworkerset": ("lws-leader", "lws-worker"),
    "llm-d": ("llm-d",),
    "production-stack": ("production-stack",),
}
"""Page -> the fixtures that the columns of its table are about."""
NOT_A_STACK = {"kyverno"}
COLUMNS = [(page, column, stack) for page, columns in PAGES.items() for column, stack in enumerate(columns)]
EVERY = pytest.mark.parametrize(("page", "column", "stack"), COLUMNS)


def text(page: str) -> str:
    return (DOCS / "any-pod" / f"{page}.md").read_text()


def said(page: str, row: str, column: int) -> list[str]:
    """The words in backticks of one cell of a page's table."""
    (line,) = re.findall(rf"^\| {re.escape(row)} \|(.+)\|$", text(page), re.MULTILINE)
    return re.findall(r"`([^`]+)`", line.split("|")[column])


def blocks(page: str) -> list[Json]:
    found = re.findall(r"^```yaml\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)
    return [yaml.safe_load(each) for each in found]


def at(body: Any, path: str) -> Iterator[Any]:  # noqa: ANN401  # any YAML
    """All values at a path such as `spec.roles[].template`."""
    if not path:
        yield body
        return
    name, _, rest = path.partition(".")
    value = body.get(name.removesuffix("[]")) if isinstance(body, dict) else None
    for each in (value or []) if name.endswith("[]") else [] if value is None else [value]:
        yield from at(each, rest)


def templates(body: Any) -> Iterator[Json]:  # noqa: ANN401  # any YAML
    """All pod templates with the label, wherever they are."""
    if isinstance(body, list):
        for each in body:
            yield from templates(each)
    if isinstance(body, dict):
        labels = (body.get("metadata") or {}).get("labels") or {}
        if spelling.LABEL_PROFILE in labels and "containers" in body.get("spec", {}):
            yield body
        for each in body.values():
            yield from templates(each)


def injected(pod: Json) -> Json:
    done: Json = jsonpatch.apply_patch(pod, patch.operations(pod, stacks.profile()))
    return done


def changed(pod: Json) -> Json:
    """The container that has our volume."""
    containers = injected(pod)["spec"]["containers"]
    (found,) = [c for c in containers if spelling.HOME_VOLUME in [m["name"] for m in c.get("volumeMounts", [])]]
    return dict(found)


def mode(pod: Json) -> str:
    return "Wrap" if changed(pod).get("command", [])[3:4] == [spelling.MARK] else "EnvFile"


def test_every_page_is_checked_and_in_the_index() -> None:
    pages = {path.stem for path in (DOCS / "any-pod").glob("*.md")}
    assert pages == set(PAGES) | NOT_A_STACK
    index = (DOCS / "any-pod.md").read_text()
    assert {page for page in pages if f"](any-pod/{page}.md)" in index} == pages
    assert {stack for stacks_of in PAGES.values() for stack in stacks_of} == {
        stack for stack in stacks.STACKS if not stack.startswith("istio")
    }


@EVERY
def test_the_table_is_what_admission_does(page: str, column: int, stack: str) -> None:
    pod = stacks.asking(stack)
    assert said(page, "container", column) == [changed(pod)["name"]]
    assert said(page, "starts by", column) == [mode(pod)]
    assert said(page, "init containers", column) == [c["name"] for c in injected(pod)["spec"]["initContainers"]]


@EVERY
def test_the_label_is_where_the_page_says(page: str, column: int, stack: str) -> None:
    paths = said(page, "label in", column)
    assert len(paths) == (0 if stack == "kubeai" else 1)
    for path in paths:
        found = [labels for body in blocks(page) for labels in at(body, path)]
        assert found
        assert all(labels[spelling.LABEL_PROFILE] == stacks.PROFILE for labels in found)


@pytest.mark.parametrize("page", PAGES)
def test_a_pod_of_the_page_s_yaml_is_injected(page: str) -> None:
    """Where the YAML has whole pod templates. The others are values of charts, and are merged with what these have."""
    containers = {name for column in range(len(PAGES[page])) for name in said(page, "container", column)}
    for body in blocks(page):
        for template in templates(body):
            pod = {"apiVersion": "v1", "kind": "Pod", **template}
            assert not patch.why_plain(pod, stacks.profile())
            assert changed(pod)["name"] in containers


def test_a_profile_chooses_the_pods_of_kubeai() -> None:
    (body,) = blocks("kubeai")
    ProfileSpec.model_validate(body["spec"])
    profile = stacks.profile(spec=body["spec"])
    assert patch.matches(stacks.pod("kubeai"), profile)
    assert not patch.matches(stacks.pod("kubeai", model="another"), profile)
    assert not patch.names(stacks.pod("kubeai"), profile)


@pytest.mark.parametrize("page", PAGES)
def test_labels_that_a_page_chooses_pods_by_are_on_them(page: str) -> None:
    pods = [stacks.pod(each) for each in PAGES[page]]
    for labels in re.findall(r"`spec\.match\.podLabels: (\{[^}]+\})`", text(page)):
        names = yaml.safe_load(labels).keys()
        assert any(names <= pod["metadata"]["labels"].keys() for pod in pods), labels


@EVERY
def test_the_model_is_read_where_the_page_says_so(page: str, column: int, stack: str) -> None:
    server = changed(stacks.asking(stack))
    command_line = [*server.get("command", [])[4:], *server.get("args", [])]
    env = {each["name"]: each["value"] for each in server.get("env", []) if "value" in each}
    found = command.find(command_line, env, has_command=mode(stacks.asking(stack)) == "Wrap")
    assert said(page, "model from", column) == ["command line" if isinstance(found, Server) else "spec.model"]


@EVERY
def test_an_entrypoint_that_the_page_gives_is_enough_for_older_nodes(page: str, column: int, stack: str) -> None:
    if said(page, "starts by", column) == ["Wrap"]:
        assert not patch.why_plain(stacks.asking(stack), stacks.profile(modes=["Wrap"]))
        return
    (entrypoint,) = re.findall(r"`spec\.entrypoint: (\[[^]]+\])`", text(page))
    older = stacks.profile(modes=["Wrap"], entrypoint=yaml.safe_load(entrypoint))
    assert patch.why_plain(stacks.asking(stack), stacks.profile(modes=["Wrap"])) == "EntrypointUnknown"
    assert not patch.why_plain(stacks.asking(stack), older)
