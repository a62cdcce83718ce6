"""The command ``detect``: its contract, what it reads, and how it fails."""

# ruff: noqa: E501 - one row of a table is one line

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.operator.detect.nodes import device, node, node_feature, resource_slice

from hipbmm_operator.cli.detect import LARGEST_BYTES, detect_command

Json = dict[str, Any]
FIELDS = [
    "node", "state", "product", "arch", "virtual", "computeUnits", "partition", "fp8", "confidence", "resource", "gpus",
    "reasons",
]  # fmt: skip
EIGHT = {"amd.com/gpu": "8"}
READY = {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"amd.com/gpu": "8"}}


def run(*argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = detect_command(argv, out, err)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def detect_text(tmp_path: Path) -> Any:  # noqa: ANN401 - a function
    def call(text: str | bytes, *argv: str) -> tuple[int, list[Json], str]:
        path = tmp_path / "nodes"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        code, out, err = run("-f", str(path), "-o", "json", *argv)
        return code, json.loads(out), err

    return call


def manifest(labels: str) -> str:
    return f"""
apiVersion: v1
kind: Node
metadata: {{name: n, labels: {{{labels}}}}}
status: {{conditions: [{{type: Ready, status: "True"}}], allocatable: {{amd.com/gpu: 8}}}}
"""


OBJECTS = [
    node({"A:device-id": "74a1"}, EIGHT, name="b"),
    node({}, {}, name="a"),
    resource_slice([device(i, deviceID="0x75a3") for i in range(8)], node="a"),
    node({}, EIGHT, name="c"),
    node_feature([("1200", "1002", "74a5")], node="c"),
]
WANTED = [("a", "MI355X", "dra"), ("b", "MI300X", "amd.com/gpu"), ("c", "MI325X", "amd.com/gpu")]
TEXTS = {
    "yaml documents": yaml.safe_dump_all(OBJECTS),
    "yaml list": yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": OBJECTS}),
    "yaml sequence": yaml.safe_dump(OBJECTS),
    "yaml documents with lists": yaml.safe_dump_all([{"kind": "List", "items": OBJECTS[:2]}, None, *OBJECTS[2:]]),
    "json list": json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}),
    "json array": json.dumps(OBJECTS),
    "json documents": "\n---\n".join(json.dumps(found) for found in OBJECTS),
    "the API server's own lists": json.dumps(
        [
            {"kind": "NodeList", "apiVersion": "v1", "items": [{k: v for k, v in o.items() if k != "kind"} for o in OBJECTS if o["kind"] == "Node"]},
            *OBJECTS,
        ][1:]
    ),
    "with a byte order mark": "\ufeff" + yaml.safe_dump_all(OBJECTS),
}  # fmt: skip


@pytest.mark.parametrize("form", TEXTS)
def test_every_form_of_file(detect_text: Any, form: str) -> None:  # noqa: ANN401
    code, found, err = detect_text(TEXTS[form])
    assert (code, err) == (0, "")
    assert [(entry["node"], entry["product"], entry["resource"]) for entry in found] == WANTED
    assert all(list(entry) == FIELDS for entry in found)


def test_items_of_the_api_servers_lists_have_no_kind(detect_text: Any) -> None:  # noqa: ANN401
    lists = [
        {
            "kind": f"{kind}List",
            "items": [{k: v for k, v in o.items() if k != "kind"} for o in OBJECTS if o["kind"] == kind],
        }
        for kind in ("Node", "ResourceSlice", "NodeFeature")
    ]
    code, found, err = detect_text(yaml.safe_dump_all(lists))
    assert (code, err) == (0, "")
    assert [(entry["node"], entry["product"], entry["resource"]) for entry in found] == WANTED


UNQUOTED = [
    ("amd.com/gpu.device-id: 7551", "NotMI3xx", "7551"),
    ("amd.com/gpu.device-id: 0740", "NotMI3xx", "0740"),
    ("amd.com/gpu.device-id: 74e1", "NotMI3xx", "74e1"),
    ("amd.com/gpu.device-id: 74a1", "Available", None),
    ("beta.amd.com/gpu.device-id.74a1: 8", "Available", None),
    ("amd.com/gpu.cu-count: 304, amd.com/gpu.device-id: 74a1", "Available", None),
    ("feature.node.kubernetes.io/pci-1002_74a1.present: true", "Available", None),
    ("amd.com/gpu.device-id: yes", "UnknownAMD", None),
    ("amd.com/gpu.device-id: !!str 74a1", "Available", None),
]


@pytest.mark.parametrize(("labels", "state", "said"), UNQUOTED)
def test_unquoted_values_are_what_was_written(detect_text: Any, labels: str, state: str, said: str | None) -> None:  # noqa: ANN401
    code, found, _ = detect_text(manifest(labels))
    assert (code, found[0]["state"]) == (0, state)
    assert said is None or said in found[0]["reasons"][0]


def test_numbers_in_json_are_what_was_written(detect_text: Any) -> None:  # noqa: ANN401
    text = '{"kind": "Node", "metadata": {"name": "n", "labels": {"amd.com/gpu.device-id": 7551}}, "status": {"allocatable": {"amd.com/gpu": 8}}}'
    code, found, _ = detect_text(text)
    assert (code, found[0]["state"], found[0]["gpus"]) == (0, "NotMI3xx", 8)
    code, found, _ = detect_text(text.replace("7551", "74e1"))
    assert "74e1" in found[0]["reasons"][0]


def test_anchors_and_merge_keys(detect_text: Any) -> None:  # noqa: ANN401
    text = """
kind: Node
metadata: {name: a, labels: &labels {amd.com/gpu.device-id: 74a1, amd.com/gpu.cu-count: 38}}
status: &status {conditions: [{type: Ready, status: "True"}], allocatable: {amd.com/gpu: 8}}
---
kind: List
items:
- {kind: Node, metadata: {name: b, labels: &l {amd.com/gpu.device-id: 74a1, amd.com/gpu.cu-count: 304}}, status: &s {allocatable: {amd.com/gpu: 4}}}
- {kind: Node, metadata: {name: c, labels: {<<: *l, amd.com/gpu.device-id: 74a5}}, status: *s}
- {kind: Node, metadata: {name: d, labels: {<<: [{amd.com/gpu.device-id: 74a2}, *l], x: y}}, status: *s}
"""
    code, found, err = detect_text(text)
    assert (code, err) == (0, "")
    assert [entry["product"] for entry in found] == ["MI300X", "MI300X", "MI325X", "MI308X"]


def test_pods_take_gpus_away(detect_text: Any) -> None:  # noqa: ANN401
    pod = {"kind": "Pod", "spec": {"nodeName": "b", "containers": [{"resources": {"limits": {"amd.com/gpu": "5"}}}]}}
    text = yaml.safe_dump_all([*OBJECTS, pod])
    assert detect_text(text, "--request", "3")[1][1]["state"] == "Available"
    code, found, _ = detect_text(text, "--request", "4")
    assert (code, found[1]["state"], found[1]["gpus"]) == (0, "NotAvailable", 8)
    assert "GPUsTaken" in found[1]["reasons"][0]


def test_tolerations_can_be_added(detect_text: Any) -> None:  # noqa: ANN401
    text = yaml.safe_dump(node({"A:device-id": "74a1"}, EIGHT, taints=["sku=gpu:NoSchedule", "amd.com/gpu:NoSchedule"]))
    assert detect_text(text)[1][0]["state"] == "NotAvailable"
    for written in ("sku", "sku=gpu", "sku=gpu:NoSchedule", "sku:NoSchedule"):
        assert detect_text(text, "--tolerate", written)[1][0]["state"] == "Available"
    for written in ("sku=cpu", "sku=gpu:NoExecute", "other"):
        assert detect_text(text, "--tolerate", written)[1][0]["state"] == "NotAvailable"


def test_objects_of_other_kinds_are_passed_over(detect_text: Any) -> None:  # noqa: ANN401
    others = [{"kind": "ConfigMap"}, {"apiVersion": "longhorn.io/v1beta2", "kind": "Node", "metadata": {"name": "b"}}]
    code, found, err = detect_text(yaml.safe_dump_all([*others, *OBJECTS]))
    assert (code, len(found), err) == (0, 3, "passed over 2 objects of other kinds\n")


@pytest.mark.parametrize("text", ["", "\n---\n---\n", "[]", "# nothing", '{"kind": "List", "items": []}', "kind: List"])
def test_nothing_is_no_error(detect_text: Any, text: str) -> None:  # noqa: ANN401
    assert detect_text(text) == (0, [], "no Node in the file\n")


WRONG: list[tuple[str, str, int]] = [
    ("kind: Node\nmetadata: {}", "error: document 1, metadata.name: missing", 0),
    ("kind: Node", "error: document 1, metadata.name: missing", 0),
    ("{}", "error: document 1, kind: missing", 0),
    ("hello", "error: document 1: an object is wanted, this is a text", 0),
    ("- hello", "error: document 1[0]: an object is wanted, this is a text", 0),
    ("kind: List\nitems: {}", "error: document 1, items: a list is wanted, this is an object", 0),
    ("kind: List\nitems: [{kind: Node, metadata: {name: n}}, {kind: Node}]", "error: document 1, items[1].metadata.name: missing", 1),
    ("kind: List\nitems: [3]", "error: document 1, items[0]: an object is wanted, this is a text", 0),
    ("kind: Node\nmetadata: {name: n, labels: [a]}", "error: document 1, metadata.labels: an object is wanted, this is a list", 1),
    ("kind: Node\nmetadata: {name: n, labels: {a: [b]}}", "error: document 1, metadata.labels[a]: a text is wanted, this is a list", 1),
    ("kind: Node\nmetadata: {name: n}\nspec: 1", "error: document 1, spec: an object is wanted, this is a text", 1),
    ("kind: Node\nmetadata: {name: n}\nstatus: {allocatable: []}", "error: document 1, status.allocatable: an object is wanted, this is a list", 1),
    ("kind: Node\nmetadata: {name: n}\n---\nkind: Node\nmetadata: {name: n}", "error: document 2, metadata.name: a second Node n; the first one counts", 1),
    ("kind: Node\nmetadata: {name: n}\n---\n{[", "error: document 2: ", 1),
    ("a: &a [*a]", "error: document 1: alias *a names nothing that is complete, line 1", 0),
    ("a: *b", "error: document 1: ", 0),
    ("? [a]\n: b", "error: document 1: a key that is no text, line 1", 0),
    ("a: {<<: 1}", "error: document 1: a merge key wants a mapping, line 1", 0),
    ("{" * 3 + '"kind": ', "error: document 1: ", 0),
    ("\x00", "error: document 1: ", 0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message", "nodes"), WRONG)
def test_what_is_malformed_is_named_and_hides_nothing_else(
    detect_text: Any,  # noqa: ANN401
    text: str,
    message: str,
    nodes: int,
) -> None:
    code, found, err = detect_text(text)
    assert (code, len(found)) == (1, nodes)
    assert err.startswith(message), err
    assert err.count("\n") == 1


def test_bytes_that_are_no_text(detect_text: Any) -> None:  # noqa: ANN401
    code, found, err = detect_text(b"kind: Node\xff")
    assert (code, found) == (1, [])
    assert "not UTF-8 at byte 10" in err


BOMBS = {
    "nested flow": "[" * 200_000,
    "nested flow, closed": "[" * 200_000 + "]" * 200_000,
    "nested block": "- " * 50_000 + "a",
    "nested mappings": "{a: " * 50_000,
    "nested json": '{"a":' * 200_000 + "1" + "}" * 200_000,
    "aliases": "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)
    ) + "kind: Node\n",
    "merges": "a: &a {" + ", ".join(f"k{i}: v" for i in range(100)) + "}\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [{','.join(['*' + chr(97 + i)] * 100)}], {chr(98 + i)}: x}}\n" for i in range(20)
    ),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_quickly(detect_text: Any, bomb: str) -> None:  # noqa: ANN401
    started = time.process_time()
    code, found, err = detect_text(BOMBS[bomb])
    assert (code, found) == (1, [])
    assert err.startswith("error: document 1")
    assert len(err) < 400
    assert time.process_time() - started < 20, "not more than the size of the text asks for"


def test_code_in_yaml_is_text(detect_text: Any, tmp_path: Path) -> None:  # noqa: ANN401
    code, found, _ = detect_text(
        f"kind: Node\nmetadata: {{name: !!python/object/apply:os.system ['touch {tmp_path}/pwned']}}"
    )
    assert (code, found) == (1, [])
    assert not (tmp_path / "pwned").exists()


def test_a_file_that_is_too_large(detect_text: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    monkeypatch.setattr("hipbmm_operator.cli.detect.LARGEST_BYTES", 1 << 20)
    code, found, err = detect_text("#" * ((1 << 20) + 1))
    assert (code, found) == (1, [])
    assert "larger than 1 MiB" in err
    assert LARGEST_BYTES == 128 << 20


USAGE = [
    [],
    ["-o", "json"],
    ["-f"],
    ["-f", "x", "-o", "xml"],
    ["-f", "x", "extra"],
    ["-f", "/nonexistent/file"],
    ["-f", "/"],
    ["-f", "a\0b"],
    ["-f", "x", "--request", "0"],
    ["-f", "x", "--request", "-1"],
    ["-f", "x", "--tolerate", "=x"],
    ["-f", "x", "--tolerate", "a:Sometimes"],
    ["--file", "x"],
]


@pytest.mark.parametrize("argv", USAGE)
def test_wrong_usage(argv: list[str]) -> None:
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert err.startswith("usage: ")
    assert "error: " in err


def test_a_reader_that_leaves_early(tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps([node({"A:device-id": "74a1"}, EIGHT, name=f"n{number}") for number in range(2000)]))
    program = "import sys; from hipbmm_operator.cli.detect import detect_command; sys.exit(detect_command(sys.argv[1:], sys.stdout, sys.stderr))"
    with subprocess.Popen(
        [sys.executable, "-c", program, "-f", str(path), "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "operator"},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == b"["
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(120) == 0


def test_help() -> None:
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    assert "--tolerate" in out


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(yaml.safe_dump_all(OBJECTS).encode())

    monkeypatch.setattr("sys.stdin", Stdin())
    code, out, _ = run("-f", "-", "-o", "json")
    assert code == 0
    assert [entry["node"] for entry in json.loads(out)] == ["a", "b", "c"]


def test_the_table_is_for_people(tmp_path: Path) -> None:
    path = tmp_path / "nodes.yaml"
    hostile = node({"A:device-id": "74b5"}, EIGHT, name="x\x1b[31m\nred")
    path.write_text(json.dumps({"kind": "List", "items": [*OBJECTS, hostile]}))
    code, out, err = run("-f", str(path))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == [
        "NODE",
        "STATE",
        "PRODUCT",
        "ARCH",
        "CU",
        "PARTITION",
        "RESOURCE",
        "GPUS",
        "CONFIDENCE",
        "WHY",
    ]
    assert lines[2].split()[:9] == ["b", "Available", "MI300X", "gfx942", "304", "SPX", "amd.com/gpu", "8", "High"]
    assert "MI300X VF" in lines[4]
    assert len(lines) == 5
    assert "\x1b" not in out
    assert len({line.index("Available") for line in lines[1:]}) == 1


def test_reasons_are_texts_and_names_are_sorted(detect_text: Any) -> None:  # noqa: ANN401
    nodes = [node({"A:device-id": "74a1"}, EIGHT, name=name) for name in ("z", "a10", "a2", "B")]
    _, found, _ = detect_text(yaml.safe_dump_all(nodes))
    assert [entry["node"] for entry in found] == ["B", "a10", "a2", "z"]
    assert found[0]["reasons"] == ["PartitionAssumed: nothing reports the partition; SPX is the default"]


def test_device_classes_in_the_file_count(detect_text: Any) -> None:  # noqa: ANN401
    objects = [node({"hipbmm.io/gpu-product": "MI300X"}), resource_slice([device(0)])]
    named = {"extendedResourceName": "amd.com/gpu"}
    classes = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": "gpu.amd.com"},
        "spec": named,
    }
    for more, resource in (([], "dra"), ([classes], "amd.com/gpu")):
        code, found, _ = detect_text(yaml.safe_dump_all([*objects, *more]))
        assert (code, found[0]["resource"], found[0]["state"]) == (0, resource, "Available")
